// What a step does to all parameters of a network, in place: Adam, and moving averages.
#pragma once

#include <cmath>
#include <vector>

#include "lanes.h"
#include "threads.h"

namespace {

// Call job(array, first, count) for all numbers of arrays of these lengths, in pieces that threads share.
template <class Job>
void for_pieces(const std::vector<Index> &lengths, const Job &job) {
  constexpr Index PIECE = 1 << 14;  // four arrays' pieces fit a core's cache
  struct Piece {
    int array;
    Index first, count;
  };
  std::vector<Piece> pieces;
  Index sum = 0;
  for (size_t array = 0; array < lengths.size(); array++) {
    sum += lengths[array];
    for (Index first = 0; first < lengths[array]; first += PIECE)
      pieces.push_back({static_cast<int>(array), first, std::min(PIECE, lengths[array] - first)});
  }
  pool().run(static_cast<int>(pieces.size()), [&](int, int unit) {
    job(pieces[unit].array, pieces[unit].first, pieces[unit].count);
  }, static_cast<double>(sum));
}

// One update of Adam (Kingma and Ba 2015, the second form of section 2, with `rate` corrected for the moments' start).
struct Adam {
  float rate, beta1, beta2, epsilon;

  void update(Index count, const float *gradient, float *weight, float *moment1, float *moment2) const {
    const float share1 = 1.0f - beta1, share2 = 1.0f - beta2;
    for (Index i = 0; i < count; i++) {
      moment1[i] += (gradient[i] - moment1[i]) * share1;
      moment2[i] += (gradient[i] * gradient[i] - moment2[i]) * share2;
      weight[i] -= rate * moment1[i] / (std::sqrt(moment2[i]) + epsilon);
    }
  }
};

// average += rate * (now - average)
void follow(Index count, float rate, const float *now, float *average) {
  for (Index i = 0; i < count; i++) average[i] += rate * (now[i] - average[i]);
}

}  // namespace
