// Convolutions for training on CPU: Conv2d and its two gradients, float32, NCHW, any kernel size, stride and padding.
// A transposed convolution is the gradient to the input of a plain one.
//
// 1. Lanes are images. Up to 16 images side by side, with AVX-512, are the innermost dimension of whatever is computed,
//    so that any number of channels, row width and kernel is as good as any other. Where there are fewer side by side,
//    a register spans neighbouring columns of a row. Only the weights' gradient, a sum over images, has channels there.
// 2. Strides vanish. A convolution of stride s is one of stride 1 on s*s times as many channels: pixels whose row and
//    column leave the same remainders, their phase, are channels of their own, and so are the numbers of the kernel.
// 3. What is left is computed directly, or, where that takes less time, by Winograd's minimal filtering (Lavin and Gray
//    2016, "Fast Algorithms for Convolutional Neural Networks"), always on tiles of 6x6.
//
// Results do not depend on the number of threads, and an image's not on what else is in its batch: what is summed, in
// which order and in which of the two ways, follows from the sizes alone, the batch's among them.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "lanes.h"
#include "threads.h"

namespace {

// ---- Sizes ----------------------------------------------------------------------------------------------------------

// Rows, or columns. In one phase, of every stride-th pixel, a kernel has only every stride-th of its numbers, its taps.
struct Side {
  int size, kernel, stride, padding, out;

  int reach() const { return static_cast<int>(ceil_div(kernel, stride)); }  // the most taps in a phase
  int taps(int phase) const { return phase < kernel ? static_cast<int>(ceil_div(kernel - phase, stride)) : 0; }

  // Backwards, result j of a phase is the gradient of its j-th pixel: tap q leads from output j + first(phase) - q.
  int phase(int pixel) const { return (pixel + padding) % stride; }
  int first(int phase) const { return static_cast<int>(ceil_div(std::max(0, padding - phase), stride)); }
  int result(int pixel) const { return (pixel + padding) / stride - first(phase(pixel)); }
  int results(int phase) const {
    int count = 0;
    for (int pixel = 0; pixel < size; pixel++) count += this->phase(pixel) == phase;
    return count;
  }
  int most_results() const { return static_cast<int>(ceil_div(size, stride)); }
  // From which to which output taps lead, relative to j, over all phases.
  int lowest() const {
    int found = first(0);
    for (int r = 0; r < std::min(stride, kernel); r++) found = std::min(found, first(r) - taps(r) + 1);
    return found;
  }
  int reach_back() const {
    int highest = first(0);
    for (int r = 0; r < std::min(stride, kernel); r++) highest = std::max(highest, first(r));
    return highest - lowest() + 1;
  }
};

// y[n][o][h][w] = sum over i, a, b of x[n][i][stride h + a - padding][stride w + b - padding] * weight[o][i][a][b]
struct Convolution {
  int images, inputs, outputs;
  Side h, w;

  int phases() const { return h.stride * w.stride; }
  int taps() const { return h.kernel * w.kernel; }
  Index of_input() const { return Index(h.size) * w.size; }
  Index of_output() const { return Index(h.out) * w.out; }
};

// How `lanes` images lie side by side: for each phase and channel a plane of rows x columns, with zeros around.
// Within a row, every step-th column comes first, then their right neighbours, and so on; `lanes` floats each.
struct Planes {
  int lanes, step;
  Index rows, columns, row, plane;  // the last two in floats
  std::vector<int> where;           // of each pixel of a channel; -1 where it is not needed

  Planes(int lanes, int step, Index rows, Index columns)
      : lanes(lanes), step(step), rows(rows), columns(round_up(columns, step)), row(this->columns * lanes),
        plane(rows * row) {}
  Index column(Index c) const { return ((c % step) * (columns / step) + c / step) * lanes; }

  // Images of this size whose pixel (0, 0) is at row `top`, column `left`, before rows and columns go by phases.
  void place(int height, int width, int channels, int stride_h, int stride_w, Index top, Index left) {
    where.assign(height * width, -1);
    for (Index h = 0; h < height; h++)
      for (Index w = 0; w < width; w++) {
        const Index r = (h + top) / stride_h, c = (w + left) / stride_w;
        if (h + top < 0 || w + left < 0 || r >= rows || c >= columns) continue;
        const Index phase = (h + top) % stride_h * stride_w + (w + left) % stride_w;
        where[h * width + w] = static_cast<int>(phase * channels * plane + r * row + column(c));
      }
  }
};

// Group number `group` of all images, N x channels x pixels, as such planes.
void read_group(const Planes &planes, const float *images, int count, int channels, Index pixels, int group,
                float *to) {
  const Index first = Index(group) * planes.lanes;
  const int live = static_cast<int>(std::min<Index>(planes.lanes, count - first));
  for (int channel = 0; channel < channels; channel++)
    interleave(planes.lanes, images + (first * channels + channel) * pixels, channels * pixels, live, pixels,
               planes.where.data(), to + channel * planes.plane);
}

// The way back, from planes in which `where` says where the pixels are.
void write_group(int lanes, const std::vector<int> &where, Index plane, const float *from, int count, int channels,
                 Index pixels, int group, const Ending &ending, float *images) {
  const Index first = Index(group) * lanes;
  const int live = static_cast<int>(std::min<Index>(lanes, count - first));
  for (int channel = 0; channel < channels; channel++)
    separate(lanes, from + channel * plane, where.data(), pixels, images + (first * channels + channel) * pixels,
             channels * pixels, live, {ending.bias == nullptr ? nullptr : ending.bias + channel, ending.slope});
}

// What forward and backward to the input have in common: `rows` planes of out_h x out_w results, each a sum over
// `channels` planes of sources and reach_h x reach_w taps. Where there are phases, of sources or of results, these are
// the outer part of the number of a channel or row.
struct Correlation {
  bool backward;
  int channels, rows, sources, results;  // the last two are those of one phase
  int source_h, source_w, top, left;     // sources, and where they begin below zeros
  int reach_h, reach_w, out_h, out_w;
  Index of_source, of_result;  // pixels

  // Which number of the kernel belongs to tap (y, x) of a phase; -1 for none.
  int tap(const Convolution &c, int phase, int y, int x) const {
    const int phase_h = phase / c.w.stride, phase_w = phase % c.w.stride;
    const int q = backward ? c.h.first(phase_h) - c.h.lowest() - y : y;
    const int r = backward ? c.w.first(phase_w) - c.w.lowest() - x : x;
    const bool inside = q >= 0 && q < c.h.taps(phase_h) && r >= 0 && r < c.w.taps(phase_w);
    return inside ? (c.h.stride * q + phase_h) * c.w.kernel + c.w.stride * r + phase_w : -1;
  }
};

Correlation forward_of(const Convolution &c) {
  return {false,       c.inputs * c.phases(), c.outputs,     c.inputs,   c.outputs,  c.h.size,      c.w.size,
          c.h.padding, c.w.padding,           c.h.reach(),   c.w.reach(), c.h.out,   c.w.out,       c.of_input(),
          c.of_output()};
}

Correlation backward_of(const Convolution &c) {
  return {true,
          c.outputs,
          c.inputs * c.phases(),
          c.outputs,
          c.inputs,
          c.h.out,
          c.w.out,
          -c.h.lowest(),
          -c.w.lowest(),
          c.h.reach_back(),
          c.w.reach_back(),
          c.h.most_results(),
          c.w.most_results(),
          c.of_output(),
          c.of_input()};
}

Planes planes_of(const Convolution &c, const Correlation &what, int lanes, int step, Index rows, Index columns) {
  Planes planes(lanes, step, rows, columns);
  const bool by_phase = !what.backward;
  planes.place(what.source_h, what.source_w, what.sources, by_phase ? c.h.stride : 1, by_phase ? c.w.stride : 1,
               what.top, what.left);
  return planes;
}

// Where the results for each pixel are, given where row r, column c of a plane is.
template <class At>
std::vector<int> places_of_results(const Convolution &c, const Correlation &what, Index plane, const At &at) {
  std::vector<int> where;
  if (!what.backward) {
    for (int h = 0; h < c.h.out; h++)
      for (int w = 0; w < c.w.out; w++) where.push_back(static_cast<int>(at(h, w)));
    return where;
  }
  for (int h = 0; h < c.h.size; h++)
    for (int w = 0; w < c.w.size; w++)
      where.push_back(static_cast<int>(Index(c.h.phase(h) * c.w.stride + c.w.phase(w)) * what.results * plane +
                                       at(c.h.result(h), c.w.result(w))));
  return where;
}

// How many images lie side by side: as many as registers hold, but with work for so many threads, few lanes without an
// image, and not too much memory.
int lanes_for(int images, int groups, double floats_of_image) {
  int lanes = LANES;
  const auto good = [&] {
    const Index count = ceil_div(images, lanes);
    return count >= std::min(groups, images) && 8 * count * lanes <= 9 * images && lanes * floats_of_image < (1 << 28);
  };
  while (lanes > 1 && !good()) lanes /= 2;
  return lanes;
}

double floats_of(const Convolution &c) {
  return double(c.inputs) * (c.h.size + c.h.kernel) * (c.w.size + c.w.kernel) +
         double(c.outputs) * (c.h.out + c.h.kernel) * (c.w.out + c.w.kernel);
}

// ---- Winograd -------------------------------------------------------------------------------------------------------

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

// ---- Directly -------------------------------------------------------------------------------------------------------

// Rows of a correlation that share where their inputs lie: all of them forward, those of one phase to the input.
struct Alike {
  std::vector<int> offset;    // of each channel and tap
  Index weight;               // where its numbers of the kernel begin, in blocks of ROWS rows
  std::vector<int> from, to;  // of each vector of results
};

// Kernels in the order of their use: for each kind [block of ROWS rows][channel and tap][row].
const float *pack_kernels(const Convolution &c, const Correlation &what, const float *weight,
                          std::vector<Alike> &kinds) {
  const int rows = what.results, taps = c.taps(), blocks = static_cast<int>(ceil_div(rows, ROWS));
  Index size = 0;
  for (Alike &alike : kinds) {
    alike.weight = size;
    size += Index(blocks) * ROWS * alike.offset.size();
  }
  shared.begin(Arena::room(size));
  float *packed = shared.take(size);
  pool().run(blocks, [&](int, int block) {
    const int first = block * ROWS, live = std::min(ROWS, rows - first);
    if (!what.backward) {
      std::vector<int> where = multiples(ROWS, Index(c.inputs) * taps);
      interleave(ROWS, weight + Index(first) * c.inputs * taps, Index(c.inputs) * taps, live, where.size(),
                 where.data(), packed + Index(block) * ROWS * where.size());
      return;
    }
    std::vector<int> next(kinds.size()), where(taps);
    for (size_t kind = 0; kind < kinds.size(); kind++)
      next[kind] = static_cast<int>(kinds[kind].weight + block * ROWS * kinds[kind].offset.size());
    for (int o = 0; o < c.outputs; o++) {
      for (int a = 0; a < c.h.kernel; a++)
        for (int b = 0; b < c.w.kernel; b++) {
          int &at = next[a % c.h.stride * c.w.stride + b % c.w.stride];
          where[a * c.w.kernel + b] = at;
          at += ROWS;
        }
      interleave(ROWS, weight + (Index(o) * c.inputs + first) * taps, taps, live, taps, where.data(), packed);
    }
  });
  return packed;
}

void list_vectors(Alike &alike, int lanes, const Planes &in, Index out_row, int rows, int columns) {
  for (int row = 0; row < rows; row++)
    for (Index v = 0; v < Index(columns) * lanes; v += LANES) {
      alike.from.push_back(static_cast<int>(row * in.row + v));
      alike.to.push_back(static_cast<int>(row * out_row + v));
    }
}

void correlate_directly(const Convolution &c, const Correlation &what, const float *source, const float *weight,
                        const Ending &ending, float *result) {
  const int lanes = lanes_for(c.images, pool().threads(), floats_of(c));
  const Planes in = planes_of(c, what, lanes, 1, what.out_h + what.reach_h - 1, what.out_w + what.reach_w - 1);
  // A row's last vector may end in the next row, whose results come later, or behind the plane.
  const Index out_row = Index(what.out_w) * lanes, out_plane = what.out_h * out_row + LANES;
  const std::vector<int> where = places_of_results(
      c, what, out_plane, [&](Index row, Index column) { return row * out_row + column * lanes; });
  std::vector<Alike> kinds(what.backward ? c.phases() : 1);
  // In the order in which the numbers of kernels lie in memory.
  for (int channel = 0; channel < what.sources; channel++)
    for (int a = 0; a < c.h.kernel; a++)
      for (int b = 0; b < c.w.kernel; b++) {
        const int phase_h = a % c.h.stride, phase_w = b % c.w.stride, phase = phase_h * c.w.stride + phase_w;
        const int q = a / c.h.stride, r = b / c.w.stride;
        if (what.backward)
          kinds[phase].offset.push_back(static_cast<int>(channel * in.plane +
                                                         (c.h.first(phase_h) - q - c.h.lowest()) * in.row +
                                                         in.column(c.w.first(phase_w) - r - c.w.lowest())));
        else
          kinds[0].offset.push_back(
              static_cast<int>((Index(phase) * what.sources + channel) * in.plane + q * in.row + in.column(r)));
      }
  for (int kind = 0; kind < static_cast<int>(kinds.size()); kind++)
    list_vectors(kinds[kind], lanes, in, out_row, what.backward ? c.h.results(kind / c.w.stride) : c.h.out,
                 what.backward ? c.w.results(kind % c.w.stride) : c.w.out);
  const float *kernel = pack_kernels(c, what, weight, kinds);
  const int rows = what.results;
  pool().run(static_cast<int>(ceil_div(c.images, lanes)), [&](int worker, int group) {
    const auto [planes, outputs] = own()[worker].pieces<2>({what.channels * in.plane, what.rows * out_plane});
    std::memset(planes, 0, 4 * Arena::room(what.channels * in.plane));
    read_group(in, source, c.images, what.sources, what.of_source, group, planes);
    for (size_t kind = 0; kind < kinds.size(); kind++) {
      const Alike &alike = kinds[kind];
      multiply<true>(rows, alike.from.size(), kernel + alike.weight, 0, planes, alike.from.data(), alike.offset.data(),
                     alike.offset.size(), outputs + kind * rows * out_plane, alike.to.data(), out_plane, false);
    }
    write_group(lanes, where, out_plane, outputs, c.images, what.results, what.of_result, group, ending, result);
  });
}

// The gradient to the weights: for each row of the kernel a product of matrices, over the positions of all images.
// With channels innermost, what a row of the kernel sees of the input lies in one piece: kernel_w x inputs numbers.
void weight_gradient_directly(const Convolution &c, const float *x, const float *dy, float *dw) {
  const Index of_input = c.of_input(), of_output = c.of_output();
  const Index rows = Index(c.h.out - 1) * c.h.stride + c.h.kernel;
  const Index columns = Index(c.w.out - 1) * c.w.stride + c.w.kernel;
  const Index of_image = rows * columns * c.inputs + LANES, of_window = Index(c.w.kernel) * c.inputs;
  const Index padded = round_up(of_window, LANES), of_row = apart(c.outputs * padded);
  const Index together = std::clamp<Index>(DEPTH / of_output, 1, c.images);  // images
  const Index groups = ceil_div(c.images, together), of_group = round_up(c.outputs, ROWS) * together * of_output;
  const auto depth = [&](Index group) { return std::min(together, c.images - group * together) * of_output; };
  const auto pieces = shared.pieces<3>({c.images * of_image, groups * of_group, c.h.kernel * of_row});
  float *xs = pieces[0], *ys = pieces[1], *sums = pieces[2];
  std::memset(sums, 0, 4 * Arena::room(c.h.kernel * of_row));

  std::vector<int> where(of_input, -1);
  for (Index h = 0; h < c.h.size; h++)
    for (Index w = 0; w < c.w.size; w++)
      if (h + c.h.padding < rows && w + c.w.padding < columns)
        where[h * c.w.size + w] = static_cast<int>(((h + c.h.padding) * columns + w + c.w.padding) * c.inputs);
  const std::vector<int> y_where = multiples(ROWS, of_output);
  pool().run(c.images, [&](int, int image) {
    float *to = xs + image * of_image;
    std::memset(to, 0, 4 * of_image);
    // Lanes behind the last channel are zeros and fall on the next pixel's first ones, which are written later; behind
    // the last pixel is room for them.
    for (int i = static_cast<int>(round_up(c.inputs, LANES)) - LANES; i >= 0; i -= LANES)
      interleave(LANES, x + (Index(image) * c.inputs + i) * of_input, of_input, std::min(LANES, c.inputs - i), of_input,
                 where.data(), to + i);
    const Index group = image / together;  // of gradients: [block of ROWS outputs][position][output]
    float *gradients = ys + group * of_group + image % together * of_output * ROWS;
    for (int o = 0; o < c.outputs; o += ROWS)
      interleave(ROWS, dy + (Index(image) * c.outputs + o) * of_output, of_output, std::min(ROWS, c.outputs - o),
                 of_output, y_where.data(), gradients + o * depth(group));
  });

  std::vector<int> position;
  for (Index image = 0; image < together; image++)
    for (Index h = 0; h < c.h.out; h++)
      for (Index w = 0; w < c.w.out; w++)
        position.push_back(
            static_cast<int>(image * of_image + (h * c.h.stride * columns + w * c.w.stride) * c.inputs));
  const Index vectors = padded / LANES, at_once = std::min<Index>(vectors, 3 * COLUMNS);
  const int chunks = static_cast<int>(ceil_div(vectors, at_once));
  const std::vector<int> places = multiples(LANES, vectors);
  pool().run(c.h.kernel * chunks, [&](int, int unit) {
    const Index a = unit / chunks, first = unit % chunks * at_once;
    for (Index group = 0; group < groups; group++)
      multiply<true>(c.outputs, std::min(at_once, vectors - first), ys + group * of_group, 0,
                     xs + group * together * of_image + a * columns * c.inputs, places.data() + first, position.data(),
                     depth(group), sums + a * of_row, places.data() + first, padded, true);
  });

  std::vector<int> taps(c.taps());
  for (int a = 0; a < c.h.kernel; a++)
    for (int b = 0; b < c.w.kernel; b++) taps[a * c.w.kernel + b] = static_cast<int>(a * of_row + b * c.inputs);
  pool().run(c.outputs, [&](int, int o) {
    for (int i = 0; i < c.inputs; i += LANES)
      separate(LANES, sums + o * padded + i, taps.data(), c.taps(), dw + (Index(o) * c.inputs + i) * c.taps(), c.taps(),
               std::min(LANES, c.inputs - i));
  });
}

// ---- Which way ------------------------------------------------------------------------------------------------------

// What the ways cost, in products of Winograd's way, as measured with AVX-512. It transforms each tile of each channel,
// and the kernel of each pair of channels.
struct Costs { double tile, kernel, direct_product; };
constexpr Costs CORRELATION = {260, 4000, 0.9}, WEIGHT_GRADIENT = {450, 9000, 1.15};

// Return R where Winograd's way is the faster, else 0.
int winograd_reach(const Convolution &c, const Correlation &what, Costs costs, double lanes_used) {
  if (what.reach_h != what.reach_w || what.reach_h < 2 || what.reach_h > 5) return 0;
  if (const char *forced = std::getenv("MS_GAN_KERNELS_WAY")) return *forced == 'w' ? what.reach_h : 0;  // for tests
  const int step = POINTS + 1 - what.reach_h;
  const double tiles = double(c.images) * ceil_div(what.out_h, step) * ceil_div(what.out_w, step);
  const double pairs = double(what.channels) * what.rows;
  const double cost = tiles * (PRODUCTS * pairs + costs.tile * (what.channels + what.rows)) + costs.kernel * pairs;
  const double direct = double(c.images) * c.of_output() * c.inputs * c.outputs * c.taps();
  return cost < costs.direct_product * direct / lanes_used ? what.reach_h : 0;
}

void correlate(const Convolution &c, const Correlation &what, const float *source, const float *weight,
               const Ending &ending, float *result) {
  switch (winograd_reach(c, what, CORRELATION, 1.0)) {
    case 2: return correlate_by_winograd<2>(c, what, source, weight, ending, result);
    case 3: return correlate_by_winograd<3>(c, what, source, weight, ending, result);
    case 4: return correlate_by_winograd<4>(c, what, source, weight, ending, result);
    case 5: return correlate_by_winograd<5>(c, what, source, weight, ending, result);
    default: return correlate_directly(c, what, source, weight, ending, result);
  }
}

void weight_gradient(const Convolution &c, const float *x, const float *dy, float *dw) {
  const Index window = Index(c.w.kernel) * c.inputs;
  switch (winograd_reach(c, forward_of(c), WEIGHT_GRADIENT, double(window) / round_up(window, LANES))) {
    case 2: return weight_gradient_by_winograd<2>(c, x, dy, dw);
    case 3: return weight_gradient_by_winograd<3>(c, x, dy, dw);
    case 4: return weight_gradient_by_winograd<4>(c, x, dy, dw);
    case 5: return weight_gradient_by_winograd<5>(c, x, dy, dw);
    default: return weight_gradient_directly(c, x, dy, dw);
  }
}

}  // namespace
