// Convolutions by Winograd's minimal filtering (Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural
// Networks"), always on tiles of 6x6.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "planes.h"

namespace {

// Kernels of R x R give tiles of S x S results, S = 7 - R, from 6 x 6 inputs and with 36 products instead of R*R*S*S.
// Polynomials are evaluated at 0, +-2/3, +-3/2 and infinity: three times more exact than at 0, +-1, +-2.
constexpr int POINTS = 6, PRODUCTS = POINTS * POINTS;
constexpr float NEAR = 2.0f / 3, FAR = 1.5f, NEAR2 = 4.0f / 9, FAR2 = 2.25f, BOTH = NEAR2 + FAR2;

INLINE void transform_input(const Vec *d, Vec *t) {
  const Vec even_near = d[4] - FAR2 * d[2], odd_near = NEAR * (d[3] - FAR2 * d[1]);
  const Vec even_far = d[4] - NEAR2 * d[2], odd_far = FAR * (d[3] - NEAR2 * d[1]);
  t[0] = d[0] - BOTH * d[2] + d[4];
  t[1] = even_near + odd_near;
  t[2] = even_near - odd_near;
  t[3] = even_far + odd_far;
  t[4] = even_far - odd_far;
  t[5] = d[1] - BOTH * d[3] + d[5];
}

constexpr float power(float base, int exponent) { return exponent == 0 ? 1.0f : base * power(base, exponent - 1); }

// From values at the points to S results.
template <int S>
INLINE void transform_output(const Vec *s, Vec *y) {
  const Vec near_even = s[1] + s[2], near_odd = s[1] - s[2], far_even = s[3] + s[4], far_odd = s[3] - s[4];
  y[0] = s[0] + near_even + far_even;
  UNROLL
  for (int k = 1; k < S; k++)
    y[k] = power(NEAR, k) * (k % 2 ? near_odd : near_even) + power(FAR, k) * (k % 2 ? far_odd : far_even);
  y[S - 1] += s[5];
}

// The transpose of that: from gradients of S results to values at the points.
template <int S>
INLINE void transform_gradient(const Vec *y, Vec *s) {
  Vec near_even = y[0], near_odd{}, far_even = y[0], far_odd{};
  UNROLL
  for (int k = 1; k < S; k++) {
    (k % 2 ? near_odd : near_even) += power(NEAR, k) * y[k];
    (k % 2 ? far_odd : far_even) += power(FAR, k) * y[k];
  }
  s[0] = y[0];
  s[1] = near_even + near_odd;
  s[2] = near_even - near_odd;
  s[3] = far_even + far_odd;
  s[4] = far_even - far_odd;
  s[5] = y[S - 1];
}

// What makes the products come out: the kernel's polynomial at each point, over the product of its distances from the
// other points.
constexpr float NEAR_SCALE = -81.0f / 130, FAR_SCALE = 8.0f / 65;

template <int R>
INLINE void transform_kernel(const Vec *g, Vec *u) {
  Vec near_even = g[0], near_odd{}, far_even = g[0], far_odd{};
  UNROLL
  for (int k = 1; k < R; k++) {
    (k % 2 ? near_odd : near_even) += power(NEAR, k) * g[k];
    (k % 2 ? far_odd : far_even) += power(FAR, k) * g[k];
  }
  u[0] = g[0];
  u[1] = NEAR_SCALE * (near_even + near_odd);
  u[2] = NEAR_SCALE * (near_even - near_odd);
  u[3] = FAR_SCALE * (far_even + far_odd);
  u[4] = FAR_SCALE * (far_even - far_odd);
  u[5] = g[R - 1];
}

// The transpose of that.
template <int R>
INLINE void transform_kernel_back(const Vec *u, Vec *g) {
  const Vec near_even = NEAR_SCALE * (u[1] + u[2]), near_odd = NEAR_SCALE * (u[1] - u[2]);
  const Vec far_even = FAR_SCALE * (u[3] + u[4]), far_odd = FAR_SCALE * (u[3] - u[4]);
  g[0] = u[0] + near_even + far_even;
  UNROLL
  for (int k = 1; k < R; k++)
    g[k] = power(NEAR, k) * (k % 2 ? near_odd : near_even) + power(FAR, k) * (k % 2 ? far_odd : far_even);
  g[R - 1] += u[5];
}

// The tiles of images, in rows, and how many of them are computed together.
struct Tiles {
  int down, across;   // of an image
  int bundle;         // groups of images, whose rows of tiles follow one another
  int at_once;        // rows of tiles that are computed together
  Index row;          // floats of a row of tiles
  Index columns, ld;  // floats of all that are computed together; the same, rounded up

  Tiles(int out_h, int out_w, int step, int lanes, int vectors, int most_groups)
      : down(static_cast<int>(ceil_div(out_h, step))), across(static_cast<int>(ceil_div(out_w, step))),
        row(Index(across) * lanes) {
    const Index wanted = vectors * LANES;
    bundle = static_cast<int>(std::clamp<Index>(wanted / (down * row), 1, most_groups));
    at_once = static_cast<int>(std::clamp<Index>(wanted / row, 1, Index(down) * bundle));
    columns = at_once * row;
    ld = round_up(columns, LANES);
  }
};

// Rows of tiles, from `first` on, of `channels` planes of each group: to[point][channel][column of tiles].
template <int S>
void transform_tiles(const float *planes, const Planes &layout, const Tiles &tiles, int channels, int first, int count,
                     float *scratch, float *to) {
  const Index of_point = apart(channels * tiles.ld), next = layout.columns / S * layout.lanes;
  for (int channel = 0; channel < channels; channel++)
    for (int r = 0; r < count; r++) {
      const Index group = (first + r) / tiles.down, row = (first + r) % tiles.down;
      const float *from = planes + (group * channels + channel) * layout.plane + row * S * layout.row;
      for (Index v = 0; v < layout.row; v += LANES) {
        Vec d[POINTS], t[POINTS];
        UNROLL
        for (int k = 0; k < POINTS; k++) d[k] = load(from + k * layout.row + v);
        transform_input(d, t);
        UNROLL
        for (int k = 0; k < POINTS; k++) store(scratch + k * (layout.row + LANES) + v, t[k]);
      }
      for (int p = 0; p < POINTS; p++)
        for (Index v = 0; v < tiles.row; v += LANES) {
          Vec d[POINTS], t[POINTS];
          UNROLL
          for (int k = 0; k < POINTS; k++)
            d[k] = load(scratch + p * (layout.row + LANES) + k % S * next + k / S * layout.lanes + v);
          transform_input(d, t);
          float *out = to + p * POINTS * of_point + channel * tiles.ld + r * tiles.row + v;
          UNROLL
          for (int k = 0; k < POINTS; k++) store_part(out + k * of_point, t[k], tiles.row - v);
        }
    }
}

// Kernels at the points, in blocks of ROWS rows: to[point][block][channel][row]. Floats from point to point:
Index kernel_apart(const Correlation &what) { return apart(round_up(what.rows, ROWS) * what.channels); }

template <int R>
void transform_kernels(const Convolution &c, const Correlation &what, const float *weight, float *to) {
  // Lanes are what becomes rows: outputs, or inputs when it goes backward.
  const int lanes = what.results, others = what.sources, taps = c.taps(), phases = c.phases();
  const Index lane_stride = what.backward ? taps : Index(c.inputs) * taps;
  const Index other_stride = what.backward ? Index(c.inputs) * taps : taps;
  const Index of_point = kernel_apart(what), block_size = Index(what.channels) * ROWS;
  const std::vector<int> where = multiples(LANES, taps);
  constexpr int together = 16;  // of the others, so that threads write to cache lines of their own
  pool().run(static_cast<int>(ceil_div(others, together)), [&](int, int unit) {
    std::vector<Vec> kernel(taps);
    for (int first = 0; first < lanes; first += LANES)
      for (int other = unit * together; other < std::min(others, (unit + 1) * together); other++) {
        const int live = std::min(LANES, lanes - first);
        interleave(LANES, weight + other * other_stride + first * lane_stride, lane_stride, live, taps, where.data(),
                   reinterpret_cast<float *>(kernel.data()));
        for (int phase = 0; phase < phases; phase++) {
          Vec half[POINTS][R];
          for (int x = 0; x < R; x++) {
            Vec g[R], u[POINTS];
            for (int y = 0; y < R; y++) {
              const int tap = what.tap(c, phase, y, x);
              g[y] = tap >= 0 ? kernel[tap] : Vec{};
            }
            transform_kernel<R>(g, u);
            for (int p = 0; p < POINTS; p++) half[p][x] = u[p];
          }
          const Index channel = what.backward ? other : phase * others + other;
          const Index row = what.backward ? phase * lanes + first : first;
          for (int p = 0; p < POINTS; p++) {
            Vec u[POINTS];
            transform_kernel<R>(half[p], u);
            for (int q = 0; q < POINTS; q++) {
              float *out = to + (p * POINTS + q) * of_point + channel * ROWS;
              const float *from = reinterpret_cast<const float *>(&u[q]);
              if (row % ROWS == 0 && live == LANES && LANES % ROWS == 0)
                for (int i = 0; i < LANES; i += ROWS)
                  std::memcpy(out + (row + i) / ROWS * block_size, from + i, 4 * ROWS);
              else
                for (Index i = 0; i < live; i++) out[(row + i) / ROWS * block_size + (row + i) % ROWS] = from[i];
            }
          }
        }
      }
  });
}

// Vectors of tiles that are computed together: enough to make good use of transformed kernels, few enough to stay in
// the cache. Where transformed kernels themselves do not, they are worth more than that.
constexpr int TILE_VECTORS = 6, MORE_TILE_VECTORS = 16;
constexpr Index MANY_PAIRS = 1 << 16;  // of channels: 9 MB of transformed kernels

// Where results of tiles go: those of one vector of tiles to S places in each of S rows, each place with room for whole
// vectors.
template <int S>
struct TileResults {
  Index place, row, plane;
  int lanes;

  explicit TileResults(const Tiles &tiles, int lanes)
      : place(round_up(tiles.row, LANES)), row(S * place), plane(tiles.down * S * row), lanes(lanes) {}
  Index operator()(Index r, Index column) const { return r * row + column % S * place + column / S * lanes; }
};

// Products of rows of tiles, from `first` on, to results.
template <int S>
void transform_products(const float *products, Index of_point, const Tiles &tiles, int rows, int first, int count,
                        const TileResults<S> &results, float *to) {
  for (int row = 0; row < rows; row++)
    for (int r = 0; r < count; r++)
      for (Index v = 0; v < tiles.row; v += LANES) {
        const float *from = products + row * tiles.ld + r * tiles.row + v;
        Vec half[S][POINTS];
        UNROLL
        for (int q = 0; q < POINTS; q++) {
          Vec s[POINTS], y[S];
          UNROLL
          for (int p = 0; p < POINTS; p++) s[p] = load(from + (p * POINTS + q) * of_point);
          transform_output<S>(s, y);
          UNROLL
          for (int k = 0; k < S; k++) half[k][q] = y[k];
        }
        const Index group = (first + r) / tiles.down, row_of_tiles = (first + r) % tiles.down;
        float *out = to + (group * rows + row) * results.plane + row_of_tiles * S * results.row + v;
        UNROLL
        for (int k = 0; k < S; k++) {
          Vec y[S];
          transform_output<S>(half[k], y);
          UNROLL
          for (int j = 0; j < S; j++) store(out + k * results.row + j * results.place, y[j]);
        }
      }
}

template <int R>
void correlate_by_winograd(const Convolution &c, const Correlation &what, const float *source, const float *weight,
                           const Ending &ending, float *result) {
  constexpr int S = POINTS + 1 - R;
  const int lanes = lanes_for(c.images, pool().threads(), floats_of(c));
  const int groups = static_cast<int>(ceil_div(c.images, lanes));
  const int tile_vectors = Index(what.channels) * what.rows < MANY_PAIRS ? TILE_VECTORS : MORE_TILE_VECTORS;
  const Tiles tiles(what.out_h, what.out_w, S, lanes, tile_vectors,
                    static_cast<int>(ceil_div(groups, pool().threads())));
  const TileResults<S> results(tiles, lanes);
  const Planes in = planes_of(c, what, lanes, S, tiles.down * S + R - 1, tiles.across * S + R - 1);
  const std::vector<int> where = places_of_results(c, what, results.plane, results);
  const Index of_kernels = kernel_apart(what);
  shared.begin(Arena::room(PRODUCTS * of_kernels));
  float *kernels = shared.take(PRODUCTS * of_kernels);
  transform_kernels<R>(c, what, weight, kernels);

  const std::vector<int> vectors = multiples(LANES, tiles.ld / LANES), depth = multiples(tiles.ld, what.channels);
  const Index of_inputs = apart(what.channels * tiles.ld), of_products = apart(what.rows * tiles.ld);
  const Index of_planes = what.channels * in.plane, of_results = what.rows * results.plane;
  pool().run(static_cast<int>(ceil_div(groups, tiles.bundle)), [&](int worker, int unit) {
    const auto [planes, scratch, inputs, products, outputs] =
        own()[worker].pieces<5>({tiles.bundle * of_planes, POINTS * (in.row + LANES), PRODUCTS * of_inputs,
                                 PRODUCTS * of_products, tiles.bundle * of_results});
    std::memset(planes, 0, 4 * tiles.bundle * of_planes);
    const int begin = unit * tiles.bundle, end = std::min(groups, begin + tiles.bundle);
    for (int group = begin; group < end; group++)
      read_group(in, source, c.images, what.sources, what.of_source, group, planes + (group - begin) * of_planes);
    const int rows_of_tiles = (end - begin) * tiles.down;
    for (int first = 0; first < rows_of_tiles; first += tiles.at_once) {
      const int count = std::min(tiles.at_once, rows_of_tiles - first);
      transform_tiles<S>(planes, in, tiles, what.channels, first, count, scratch, inputs);
      for (int p = 0; p < PRODUCTS; p++)
        multiply<true>(what.rows, ceil_div(count * tiles.row, LANES), kernels + p * of_kernels, 0,
                       inputs + p * of_inputs, vectors.data(), depth.data(), what.channels,
                       products + p * of_products, vectors.data(), tiles.ld, false);
      transform_products<S>(products, of_products, tiles, what.rows, first, count, results, outputs);
    }
    for (int group = begin; group < end; group++)
      write_group(lanes, where, results.plane, outputs + (group - begin) * of_results, c.images, what.results,
                  what.of_result, group, ending, result);
  });
}

// Gradients of results in rows of tiles, from `first` on: to[point][channel][column of tiles].
template <int S>
void transform_gradients(const float *planes, const Planes &layout, const Tiles &tiles, int channels, int first,
                         int count, float *to) {
  const Index of_point = apart(channels * tiles.ld);
  for (int channel = 0; channel < channels; channel++)
    for (int r = 0; r < count; r++)
      for (Index v = 0; v < tiles.row; v += LANES) {
        const Index group = (first + r) / tiles.down, row = (first + r) % tiles.down;
        const float *from = planes + (group * channels + channel) * layout.plane + row * S * layout.row + v;
        Vec half[POINTS][S];
        UNROLL
        for (int j = 0; j < S; j++) {
          Vec y[S], s[POINTS];
          UNROLL
          for (int k = 0; k < S; k++) y[k] = load(from + k * layout.row + j * tiles.row);
          transform_gradient<S>(y, s);
          UNROLL
          for (int p = 0; p < POINTS; p++) half[p][j] = s[p];
        }
        float *out = to + channel * tiles.ld + r * tiles.row + v;
        UNROLL
        for (int p = 0; p < POINTS; p++) {
          Vec s[POINTS];
          transform_gradient<S>(half[p], s);
          UNROLL
          for (int q = 0; q < POINTS; q++) store_part(out + (p * POINTS + q) * of_point, s[q], tiles.row - v);
        }
      }
}

// Sums at the points, [point][output][input, by phases], to the gradient of the kernels of output number `o`.
template <int R>
void transform_sums(const Convolution &c, const float *sums, int parts, Index of_point, Index padded, int o,
                    float *dw) {
  const std::vector<int> where = multiples(LANES, c.taps());
  const Correlation forward = forward_of(c);
  std::vector<Vec> kernel(c.taps());
  for (int first = 0; first < c.inputs; first += LANES) {
    for (int phase = 0; phase < c.phases(); phase++) {
      const float *from = sums + o * padded + phase * c.inputs + first;
      Vec half[R][POINTS];
      for (int q = 0; q < POINTS; q++) {
        Vec u[POINTS], g[R];
        for (int p = 0; p < POINTS; p++) {
          u[p] = Vec{};
          for (int part = 0; part < parts; part++) u[p] += load(from + (part * PRODUCTS + p * POINTS + q) * of_point);
        }
        transform_kernel_back<R>(u, g);
        for (int k = 0; k < R; k++) half[k][q] = g[k];
      }
      for (int y = 0; y < R; y++) {
        Vec g[R];
        transform_kernel_back<R>(half[y], g);
        for (int x = 0; x < R; x++) {
          const int tap = forward.tap(c, phase, y, x);
          if (tap >= 0) kernel[tap] = g[x];
        }
      }
    }
    separate(LANES, reinterpret_cast<float *>(kernel.data()), where.data(), c.taps(),
             dw + (Index(o) * c.inputs + first) * c.taps(), c.taps(), std::min(LANES, c.inputs - first));
  }
}

// The gradient to the weights: the same products, of transformed inputs and transformed gradients, summed over tiles.
template <int R>
void weight_gradient_by_winograd(const Convolution &c, const float *x, const float *dy, float *dw) {
  constexpr int S = POINTS + 1 - R;
  const int channels = c.inputs * c.phases(), padded = static_cast<int>(round_up(channels, LANES));
  const Index of_point = apart(Index(c.outputs) * padded);
  // Images are shared out among parts with sums of their own, or, where these would be large, the points are.
  const int wanted = 4, most = static_cast<int>(std::max<Index>(1, (Index(4) << 20) / (PRODUCTS * of_point)));
  const int lanes = lanes_for(c.images, std::min(wanted, most), floats_of(c));
  const int groups = static_cast<int>(ceil_div(c.images, lanes));
  const int parts = std::min({wanted, most, groups}), shares = parts >= 3 ? 1 : wanted / parts;
  const Tiles tiles(c.h.out, c.w.out, S, lanes, TILE_VECTORS, static_cast<int>(ceil_div(groups, parts)));
  const Planes in = planes_of(c, forward_of(c), lanes, S, tiles.down * S + R - 1, tiles.across * S + R - 1);
  Planes out(lanes, S, tiles.down * S, tiles.across * S);
  out.place(c.h.out, c.w.out, c.outputs, 1, 1, 0, 0);
  shared.begin(Arena::room(parts * PRODUCTS * of_point));
  float *sums = shared.take(parts * PRODUCTS * of_point);
  std::memset(sums, 0, 4 * Arena::room(parts * PRODUCTS * of_point));

  const std::vector<int> vectors = multiples(LANES, padded / LANES), depth = multiples(padded, tiles.columns);
  const Index of_inputs = apart(channels * tiles.ld), of_outputs = apart(c.outputs * tiles.ld);
  pool().run(parts * shares, [&](int worker, int unit) {
    const int part = unit / shares, share = unit % shares;
    const Index of_planes = channels * in.plane, of_gradients = c.outputs * out.plane;
    const auto [planes, gradients, scratch, inputs, outputs, turned] =
        own()[worker].pieces<6>({tiles.bundle * of_planes, tiles.bundle * of_gradients, POINTS * (in.row + LANES),
                                 PRODUCTS * of_inputs, PRODUCTS * of_outputs, tiles.ld * padded});
    std::memset(planes, 0, 4 * tiles.bundle * of_planes);
    std::memset(gradients, 0, 4 * tiles.bundle * of_gradients);
    for (int begin = part * tiles.bundle; begin < groups; begin += parts * tiles.bundle) {
      const int end = std::min(groups, begin + tiles.bundle), rows_of_tiles = (end - begin) * tiles.down;
      for (int group = begin; group < end; group++) {
        read_group(in, x, c.images, c.inputs, c.of_input(), group, planes + (group - begin) * of_planes);
        read_group(out, dy, c.images, c.outputs, c.of_output(), group, gradients + (group - begin) * of_gradients);
      }
      for (int first = 0; first < rows_of_tiles; first += tiles.at_once) {
        const int count = std::min(tiles.at_once, rows_of_tiles - first);
        transform_tiles<S>(planes, in, tiles, channels, first, count, scratch, inputs);
        transform_gradients<S>(gradients, out, tiles, c.outputs, first, count, outputs);
        const Index columns = count * tiles.row;
        for (int p = share * PRODUCTS / shares; p < (share + 1) * PRODUCTS / shares; p++) {
          for (int channel = 0; channel < padded; channel += LANES)  // lanes are input channels from here on
            for (Index column = 0; column < columns; column += LANES) {
              const float *from = inputs + p * of_inputs + channel * tiles.ld + column;
              Vec rows[LANES];
              for (int i = 0; i < LANES; i++) rows[i] = channel + i < channels ? load(from + i * tiles.ld) : Vec{};
              transpose<LANES>(rows);
              for (int i = 0; i < LANES; i++) store(turned + (column + i) * padded + channel, rows[i]);
            }
          multiply<false>(c.outputs, padded / LANES, outputs + p * of_outputs, tiles.ld, turned, vectors.data(),
                          depth.data(), columns, sums + (part * PRODUCTS + p) * of_point, vectors.data(), padded, true);
        }
      }
    }
  });
  pool().run(c.outputs, [&](int, int o) { transform_sums<R>(c, sums, parts, of_point, padded, o, dw); });
}

}  // namespace
