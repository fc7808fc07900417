// Threads that share out work, and scratch memory.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "lanes.h"

namespace {

constexpr int SPIN_MICROSECONDS = 100;
constexpr double LITTLE_WORK = 1 << 16;  // some 10 microseconds

INLINE void pause_a_little() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Wait until something is true, but only so long that waking up would take longer. Returns whether it is.
template <class Condition>
bool wait_a_little(const Condition &condition) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::microseconds(SPIN_MICROSECONDS);
  do {
    for (int i = 0; i < 16; i++) {
      if (condition()) return true;
      pause_a_little();
    }
  } while (Clock::now() < end);
  return false;
}

// Workers take units of work one by one. The caller never waits for one that has not begun: on a busy machine it does
// the work itself. Who has nothing to do looks for a moment whether there is something again, and then sleeps: MindSpore's
// own threads look much longer, and then stand in each other's way.
class Pool {
 public:
  explicit Pool(int threads) : threads_(threads), process_(getpid()) {
    try {
      for (int worker = 1; worker < threads; worker++) std::thread([this, worker] { serve(worker); }).detach();
    } catch (const std::system_error &) {  // fewer do as well
    }
  }
  int threads() const { return threads_; }
  pid_t process() const { return process_; }

  // Call job(worker, unit) for each unit, with workers counted from 0. `amount` is about how many numbers are moved,
  // or vectors multiplied, in all: with little to do the caller is done before a worker has woken up.
  void run(int units, const std::function<void(int, int)> &job, double amount = HUGE_VAL) {
    failed_ = false;
    if (threads_ == 1 || units == 1 || amount < LITTLE_WORK) {
      for (int unit = 0; unit < units; unit++) job(0, unit);
      return;
    }
    {
      std::lock_guard<std::mutex> lock(mutex_);
      job_ = &job, units_ = units, next_ = 0, call_++;
    }
    wake_.notify_all();
    work(0, job, units);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      job_ = nullptr;
    }
    if (!wait_a_little([this] { return active_ == 0; })) {
      std::unique_lock<std::mutex> lock(mutex_);
      idle_.wait(lock, [this] { return active_ == 0; });
    }
    if (failed_) throw std::bad_alloc();
  }

 private:
  void work(int worker, const std::function<void(int, int)> &job, int units) {
    try {
      for (int unit; (unit = next_.fetch_add(1)) < units;) job(worker, unit);
    } catch (...) {
      failed_ = true;
    }
  }
  void serve(int worker) {
    for (uint64_t seen = 0;;) {
      wait_a_little([&] { return call_ != seen; });
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return job_ != nullptr && call_ != seen; });
      seen = call_;
      const auto *job = job_;
      const int units = units_;
      active_++;
      lock.unlock();
      work(worker, *job, units);
      lock.lock();
      if (--active_ == 0) idle_.notify_one();
    }
  }

  const int threads_;
  const pid_t process_;
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  const std::function<void(int, int)> *job_ = nullptr;
  int units_ = 0;
  std::atomic<int> active_{0}, next_{0};
  std::atomic<uint64_t> call_{0};
  std::atomic<bool> failed_{false};
};

int usable_cores() {
  const char *wanted = std::getenv("MS_GAN_KERNELS_THREADS");
  const long threads = wanted == nullptr ? 0 : std::strtol(wanted, nullptr, 10);
  if (threads > 0 && threads <= CPU_SETSIZE) return static_cast<int>(threads);  // else it is empty, or no such number
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return std::max(1, CPU_COUNT(&cores));
  return std::max(1u, std::thread::hardware_concurrency());
}

// Never destroyed: its threads sleep until the process ends. A forked child has none of them, and makes its own.
Pool &pool() {
  static Pool *made = nullptr;
  if (made == nullptr || made->process() != getpid()) made = new Pool(usable_cores());
  return *made;
}

// ---- Memory ---------------------------------------------------------------------------------------------------------

// Scratch memory that is kept for the next call.
class Arena {
 public:
  // Begin anew, with room for so many floats, each piece counted by `room`.
  void begin(Index floats) {
    used_ = 0;
    if (floats <= size_) return;
    std::free(memory_);
    size_ = 0;
    memory_ = static_cast<float *>(std::aligned_alloc(64, round_up(4 * floats, 64)));
    if (memory_ == nullptr) throw std::bad_alloc();
    size_ = floats;
  }
  // Every piece may be read for a vector past its end.
  static Index room(Index floats) { return round_up(floats + LANES, 16); }
  float *take(Index floats) {
    float *piece = memory_ + used_;
    used_ += room(floats);
    return piece;
  }
  // Begin anew with just these.
  template <int N>
  std::array<float *, N> pieces(const std::array<Index, N> &floats) {
    Index sum = 0;
    for (Index count : floats) sum += room(count);
    begin(sum);
    std::array<float *, N> found;
    for (int i = 0; i < N; i++) found[i] = take(floats[i]);
    return found;
  }

 private:
  float *memory_ = nullptr;
  Index size_ = 0, used_ = 0;
};

std::mutex one_call;  // MindSpore may call from several threads; pool and scratch memory are for one
// A fork waits for the call of another thread, so that the child does not inherit a lock that nobody opens.
const int fork_waits = pthread_atfork([] { one_call.lock(); }, [] { one_call.unlock(); }, [] { one_call.unlock(); });
Arena shared;
std::vector<Arena> &own() {  // one for each worker
  static auto *arenas = new std::vector<Arena>(pool().threads());
  if (static_cast<int>(arenas->size()) < pool().threads()) arenas->resize(pool().threads());
  return *arenas;
}

}  // namespace
