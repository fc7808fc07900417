// What layers do to each channel by itself: the gradient through LeakyReLU and to a bias, and batch normalisation.
//
// Maps are [image][channel][pixel]; features of Dense layers are maps of one pixel. Channels are shared out among
// threads. Where maps have one pixel, lanes are channels; else they are pixels.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "lanes.h"
#include "threads.h"

namespace {

struct Maps {
  Index images, channels, pixels;

  bool is_flat() const { return pixels == 1; }
  Index apart() const { return channels * pixels; }  // from image to image
  double count() const { return double(images) * pixels; }  // numbers of a channel
};

INLINE Vec in_all_lanes(float value) { return Vec{} + value; }

// Sums over all images and pixels of the channels at `first`: of one channel, or of LANES flat ones, to sums[k][lane].
// term(at, live, found) finds the K terms of the numbers at offset `at`, of which `live` exist.
template <int K, class Term>
INLINE void sum_channels(const Maps &maps, Index first, const Term &term, double (*sums)[LANES]) {
  const Index size = maps.is_flat() ? std::min<Index>(LANES, maps.channels - first) : maps.pixels;
  Vec part[K] = {};  // of at most DEPTH numbers in each lane
  Index added = 0;
  const auto add_up = [&] {
    for (int k = 0; k < K; k++)
      for (int i = 0; i < LANES; i++) sums[k][i] += part[k][i];
    std::fill(part, part + K, Vec{});
    added = 0;
  };
  for (int k = 0; k < K; k++) std::fill(sums[k], sums[k] + LANES, 0.0);
  for (Index n = 0; n < maps.images; n++) {
    const Index at = n * maps.apart() + first * maps.pixels;
    for (Index s = 0; s < size; s += LANES) {
      const Index live = std::min<Index>(LANES, size - s);
      Vec found[K];
      term(at + s, live, found);
      for (int k = 0; k < K; k++) part[k] += live == LANES ? found[k] : first_lanes(found[k], live);
      if (++added == DEPTH) add_up();
    }
  }
  add_up();
  if (!maps.is_flat())
    for (int k = 0; k < K; k++) sums[k][0] = std::accumulate(sums[k], sums[k] + LANES, 0.0);
}

// Call change(at, live) for all numbers of the channels at `first`.
template <class Change>
INLINE void change_channels(const Maps &maps, Index first, const Change &change) {
  const Index size = maps.is_flat() ? std::min<Index>(LANES, maps.channels - first) : maps.pixels;
  for (Index n = 0; n < maps.images; n++) {
    const Index at = n * maps.apart() + first * maps.pixels;
    for (Index s = 0; s < size; s += LANES) change(at + s, std::min<Index>(LANES, size - s));
  }
}

// Call job(first, lanes) for each channel, or for LANES flat ones together, of which `lanes` exist.
void for_channels(const Maps &maps, const std::function<void(Index, int)> &job) {
  const Index step = maps.is_flat() ? LANES : 1;
  pool().run(static_cast<int>(ceil_div(maps.channels, step)), [&](int, int unit) {
    job(unit * step, static_cast<int>(std::min(step, maps.channels - unit * step)));
  }, maps.count() * maps.channels);
}

// The numbers of the channels in lanes: of one channel in all of them.
INLINE Vec in_lanes(const Maps &maps, const float *values, Index first, int lanes) {
  return maps.is_flat() ? load_part(values + first, lanes) : in_all_lanes(values[first]);
}

// dz = dy where y > 0, else slope * dy; and its sum over each channel, the gradient to a bias.
void activation_gradient(const Maps &maps, const float *dy, const float *y, float slope, float *dz, float *db) {
  for_channels(maps, [&](Index first, int lanes) {
    double sums[1][LANES];
    const auto term = [&](Index at, Index live, Vec *found) {
      const Vec gradient = load_part(dy + at, live);
      found[0] = load_part(y + at, live) > 0.0f ? gradient : slope * gradient;
      store_part(dz + at, found[0], live);
    };
    sum_channels<1>(maps, first, term, sums);
    for (int i = 0; i < lanes; i++) db[first + i] = static_cast<float>(sums[0][i]);
  });
}

// The sum of dy over each channel.
void bias_gradient(const Maps &maps, const float *dy, float *db) {
  for_channels(maps, [&](Index first, int lanes) {
    double sums[1][LANES];
    sum_channels<1>(maps, first, [&](Index at, Index live, Vec *found) { found[0] = load_part(dy + at, live); }, sums);
    for (int i = 0; i < lanes; i++) db[first + i] = static_cast<float>(sums[0][i]);
  });
}

// What batch normalisation and LeakyReLU after it need to know, of each channel and of all.
struct BatchNorm {
  const float *gamma, *beta;
  float *mean, *variance;
  float epsilon, slope;
};

// How one channel is normalised, or LANES flat ones are: x to (x - centre) * scale + shift.
struct Normal {
  Vec centre, inverse, scale, shift;  // scale is gamma * inverse, inverse 1 / sqrt(variance + epsilon)

  Normal(const Maps &maps, Index first, int lanes, const BatchNorm &norm)
      : centre(in_lanes(maps, norm.mean, first, lanes)), inverse{}, shift(in_lanes(maps, norm.beta, first, lanes)) {
    const Vec variance = in_lanes(maps, norm.variance, first, lanes);
    for (int i = 0; i < LANES; i++) inverse[i] = 1.0f / std::sqrt(variance[i] + norm.epsilon);
    scale = in_lanes(maps, norm.gamma, first, lanes) * inverse;
  }
};

// Batch normalisation (Ioffe and Szegedy 2015) by the batch's own mean and variance, which are written to `norm`; then
// LeakyReLU.
void normalize(const Maps &maps, const float *x, const BatchNorm &norm, float *y) {
  for_channels(maps, [&](Index first, int lanes) {
    double sums[1][LANES];
    sum_channels<1>(maps, first, [&](Index at, Index live, Vec *found) { found[0] = load_part(x + at, live); }, sums);
    for (int i = 0; i < lanes; i++) norm.mean[first + i] = static_cast<float>(sums[0][i] / maps.count());
    const Vec centre = in_lanes(maps, norm.mean, first, lanes);
    const auto square = [&](Index at, Index live, Vec *found) {
      const Vec distance = load_part(x + at, live) - centre;
      found[0] = distance * distance;
    };
    sum_channels<1>(maps, first, square, sums);
    for (int i = 0; i < lanes; i++) norm.variance[first + i] = static_cast<float>(sums[0][i] / maps.count());
    const Normal normal(maps, first, lanes, norm);
    change_channels(maps, first, [&](Index at, Index live) {
      const Vec found = (load_part(x + at, live) - normal.centre) * normal.scale + normal.shift;
      store_part(y + at, found > 0.0f ? found : norm.slope * found, live);
    });
  });
}

// What moving statistics become: a share of the way to those of a batch, each times a factor.
void move_towards(Index channels, const float *before, const float *batch, float factor, float share, float *after) {
  for (Index i = 0; i < channels; i++) after[i] = before[i] + share * (factor * batch[i] - before[i]);
}

// The gradients of `normalize`, through LeakyReLU and through mean and variance.
void normalize_gradient(const Maps &maps, const float *dy, const float *x, const BatchNorm &norm, float *dx,
                        float *dgamma, float *dbeta) {
  for_channels(maps, [&](Index first, int lanes) {
    const Normal normal(maps, first, lanes, norm);
    const auto gradient = [&](Index at, Index live, Vec &distance) {
      distance = load_part(x + at, live) - normal.centre;
      const Vec found = load_part(dy + at, live);
      return distance * normal.scale + normal.shift > 0.0f ? found : norm.slope * found;
    };
    double sums[2][LANES];
    const auto terms = [&](Index at, Index live, Vec *found) {
      Vec distance;
      found[0] = gradient(at, live, distance);
      found[1] = found[0] * distance * normal.inverse;
    };
    sum_channels<2>(maps, first, terms, sums);
    for (int i = 0; i < lanes; i++) {
      dbeta[first + i] = static_cast<float>(sums[0][i]);
      dgamma[first + i] = static_cast<float>(sums[1][i]);
    }
    const float part = static_cast<float>(1.0 / maps.count());
    const Vec mean_gradient = part * in_lanes(maps, dbeta, first, lanes);
    const Vec slant = part * in_lanes(maps, dgamma, first, lanes) * normal.inverse;
    change_channels(maps, first, [&](Index at, Index live) {
      Vec distance;
      const Vec found = gradient(at, live, distance);
      store_part(dx + at, normal.scale * (found - mean_gradient - distance * slant), live);
    });
  });
}

// The largest of each 2x2 pixels; at an odd edge of those that are there.
struct Pool2x2 {
  Index planes, height, width;  // of the input

  Index rows() const { return ceil_div(height, 2); }
  Index columns() const { return ceil_div(width, 2); }

  // Call job(top, bottom, results) for each row of results, with where their rows begin: the same, where there is one.
  template <class Job>
  void for_rows(const Job &job) const {
    const Index at_once = std::max<Index>(1, (1 << 14) / (height * width));  // planes
    pool().run(static_cast<int>(ceil_div(planes, at_once)), [&](int, int unit) {
      for (Index plane = unit * at_once; plane < std::min(planes, (unit + 1) * at_once); plane++)
        for (Index row = 0; row < rows(); row++) {
          const Index top = (plane * height + 2 * row) * width;
          job(top, 2 * row + 1 < height ? top + width : top, (plane * rows() + row) * columns());
        }
    }, double(planes) * height * width);
  }
};

// Each 2x2 pixels as one, their sum times a factor; of even sizes.
void shrink(const Pool2x2 &sizes, float factor, const float *x, float *y) {
  sizes.for_rows([&](Index top, Index bottom, Index result) {
    const float *a = x + top, *b = x + bottom;
    float *to = y + result;
    for (Index j = 0; j < sizes.width / 2; j++) to[j] = ((a[2 * j] + a[2 * j + 1]) + (b[2 * j] + b[2 * j + 1])) * factor;
  });
}

// Each pixel as 2x2, times a factor; `sizes` are those of the result.
void grow(const Pool2x2 &sizes, float factor, const float *x, float *y) {
  sizes.for_rows([&](Index top, Index bottom, Index from) {
    float *a = y + top, *b = y + bottom;
    for (Index j = 0; j < sizes.width / 2; j++) a[2 * j] = a[2 * j + 1] = x[from + j] * factor;
    std::copy(a, a + sizes.width, b);
  });
}

// The larger of two; NaN where one is.
inline float larger(float a, float b) { return a != a || a > b ? a : b; }

void max_pool(const Pool2x2 &sizes, const float *x, float *y) {
  sizes.for_rows([&](Index top, Index bottom, Index result) {
    const float *a = x + top, *b = x + bottom;
    float *to = y + result;
    for (Index j = 0; j < sizes.width / 2; j++) {
      to[j] = larger(larger(a[2 * j], a[2 * j + 1]), larger(b[2 * j], b[2 * j + 1]));
    }
    if (sizes.width % 2) {
      const Index last = sizes.width - 1;
      to[last / 2] = larger(a[last], b[last]);
    }
  });
}

// Each gradient goes to the first of its pixels that is the largest; of NaN, to the last.
void max_pool_gradient(const Pool2x2 &sizes, const float *dy, const float *x, const float *y, float *dx) {
  sizes.for_rows([&](Index top, Index bottom, Index result) {
    const float *a = x + top, *b = x + bottom, *largest = y + result, *from = dy + result;
    float *to_a = dx + top, *to_b = dx + bottom;
    const bool two = top != bottom;
    const Index pairs = sizes.width / 2;
    for (Index j = 0; j < pairs; j++) {
      const float gradient = from[j], m = largest[j];
      const bool first = a[2 * j] == m, second = !first && (!two || a[2 * j + 1] == m);
      to_a[2 * j] = first ? gradient : 0.0f;
      to_a[2 * j + 1] = second ? gradient : 0.0f;
    }
    for (Index j = 0; two && j < pairs; j++) {
      const float gradient = from[j], m = largest[j];
      const bool above = a[2 * j] == m || a[2 * j + 1] == m, third = !above && b[2 * j] == m;
      to_b[2 * j] = third ? gradient : 0.0f;
      to_b[2 * j + 1] = !above && !third ? gradient : 0.0f;
    }
    if (sizes.width % 2) {
      const Index last = sizes.width - 1;
      const bool first = !two || a[last] == largest[last / 2];
      to_a[last] = first ? from[last / 2] : 0.0f;
      if (two) to_b[last] = first ? 0.0f : from[last / 2];
    }
  });
}

}  // namespace
