// What is done to each number by itself: LeakyReLU's gradient, sigmoid and tanh.
#pragma once

#include <algorithm>
#include <cstring>

#include "lanes.h"
#include "threads.h"

namespace {

// Call change(first, live) for all of `count` numbers, a vector at a time, of which `live` exist.
template <class Change>
void for_vectors(Index count, const Change &change) {
  constexpr Index PIECE = 1 << 13;
  pool().run(static_cast<int>(ceil_div(count, PIECE)), [&](int, int unit) {
    const Index end = std::min(count, (unit + 1) * PIECE);
    for (Index i = unit * PIECE; i < end; i += LANES) change(i, std::min<Index>(LANES, end - i));
  }, static_cast<double>(count));
}

// dz = dy where y > 0, else slope * dy. `dz` may be `dy`.
void gate(Index count, const float *y, float slope, const float *dy, float *dz) {
  if (slope == 1.0f && dy == dz) return;
  for_vectors(count, [&](Index i, Index live) {
    const Vec found = load_part(dy + i, live);
    store_part(dz + i, load_part(y + i, live) > 0.0f ? found : slope * found, live);
  });
}

// e^x to 2e-7 of itself; x beyond -87 to 88 counts as the nearer of them. NaN stays NaN.
// 2^n e^r with r in [-ln 2 / 2, ln 2 / 2], and of e^r the first terms of its series.
INLINE Vec exponential(Vec x) {
  constexpr float LOG2_E = 1.44269504f, LN2_HIGH = 0.693359375f, LN2_LOW = -2.12194440e-4f;
  const Vec most = Vec{} + 88.0f, least = Vec{} - 87.0f;
  x = x > most ? most : x;
  x = x < least ? least : x;
  const Vec scaled = x * LOG2_E;
  const auto n = __builtin_convertvector(scaled > 0.0f ? scaled + 0.5f : scaled - 0.5f, typename Vector<LANES>::Mask);
  const Vec whole = __builtin_convertvector(n, Vec), r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
  Vec sum = Vec{} + 1.0f / 5040.0f;
  for (float term : {1.0f / 720.0f, 1.0f / 120.0f, 1.0f / 24.0f, 1.0f / 6.0f, 0.5f, 1.0f, 1.0f}) sum = sum * r + term;
  const auto bits = (n + 127) << 23;
  Vec power;  // 2^n
  std::memcpy(&power, &bits, sizeof power);
  return sum * power;
}

// y = 1 / (1 + e^-x), or tanh x, both to 3e-7, near 0 not of tanh x but of 1.
void squash(Index count, bool to_both_sides, const float *x, float *y) {
  for_vectors(count, [&](Index i, Index live) {
    const Vec given = load_part(x + i, live);
    const Vec falling = exponential(to_both_sides ? -2.0f * given : -given);
    store_part(y + i, (to_both_sides ? 1.0f - falling : Vec{} + 1.0f) / (1.0f + falling), live);
  });
}

void squash_gradient(Index count, bool to_both_sides, const float *dy, const float *y, float *dx) {
  for_vectors(count, [&](Index i, Index live) {
    const Vec at = load_part(y + i, live);
    store_part(dx + i, load_part(dy + i, live) * (to_both_sides ? 1.0f - at * at : at * (1.0f - at)), live);
  });
}

}  // namespace
