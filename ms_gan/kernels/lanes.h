// Vectors of numbers side by side, and the loops in which nearly all time is spent.
#pragma once

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace {

using Index = std::ptrdiff_t;

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

// A tile of the result, ROWS channels by COLUMNS vectors, has to stay in registers: 32 of them, or 16.
#if defined(__AVX512F__)
constexpr int LANES = 16, ROWS = 8, COLUMNS = 3;
#elif defined(__AVX__)
constexpr int LANES = 8, ROWS = 4, COLUMNS = 3;
#elif defined(__aarch64__)
constexpr int LANES = 4, ROWS = 8, COLUMNS = 3;
#else
constexpr int LANES = 4, ROWS = 4, COLUMNS = 2;
#endif

template <int W>
struct Vector {
  typedef float Type __attribute__((vector_size(4 * W)));
  typedef int Mask __attribute__((vector_size(4 * W)));
  typedef float Unaligned __attribute__((vector_size(4 * W), aligned(4), may_alias));
};
using Vec = Vector<LANES>::Type;

INLINE Vec load(const float *from) { return *reinterpret_cast<const Vector<LANES>::Unaligned *>(from); }
INLINE void store(float *to, Vec what) { *reinterpret_cast<Vector<LANES>::Unaligned *>(to) = what; }
// The first `count` lanes alone: from memory, with zeros behind; to memory.
#if defined(__AVX512F__)
INLINE __mmask16 mask_of(Index count) { return static_cast<__mmask16>(count >= LANES ? 0xffff : (1u << count) - 1); }
INLINE Vec load_part(const float *from, Index count) { return Vec(_mm512_maskz_loadu_ps(mask_of(count), from)); }
INLINE void store_part(float *to, Vec what, Index count) { _mm512_mask_storeu_ps(to, mask_of(count), __m512(what)); }
#else
INLINE Vec load_part(const float *from, Index count) {
  if (count >= LANES) return load(from);
  Vec found{};
  std::memcpy(&found, from, 4 * count);
  return found;
}
INLINE void store_part(float *to, Vec what, Index count) {
  if (count >= LANES) store(to, what);
  else std::memcpy(to, &what, 4 * count);
}
#endif
INLINE Vec first_lanes(Vec what, Index count) { return load_part(reinterpret_cast<const float *>(&what), count); }
constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }
constexpr Index round_up(Index a, Index b) { return ceil_div(a, b) * b; }
// At least so many floats, and an odd number of cache lines: what lies so far apart does not fall on the same places of
// a cache, as it would at powers of two.
constexpr Index apart(Index floats) { return (ceil_div(floats, 16) | 1) * 16; }

// What becomes of a sum before it is written: a bias is added, and what is negative is multiplied by the slope.
struct Ending {
  const float *bias = nullptr;  // of each channel, or column of a matrix
  float slope = 1.0f;
  const float *signs = nullptr;  // of products of matrices: numbers that say in the sums' place what is negative

  bool is_none() const { return bias == nullptr && slope == 1.0f; }
  INLINE Vec operator()(Vec sum, Vec bias) const {
    const Vec found = sum + bias;
    return found > 0.0f ? found : slope * found;
  }
};

// ---- Between rows and lanes -----------------------------------------------------------------------------------------

template <int W, int D, int... I>
INLINE void exchange(typename Vector<W>::Type &a, typename Vector<W>::Type &b, std::integer_sequence<int, I...>) {
#if defined(__clang__)
  const auto low = __builtin_shufflevector(a, b, ((I & D) == 0 ? I : W + I - D)...);
  const auto high = __builtin_shufflevector(a, b, ((I & D) == 0 ? I + D : W + I)...);
#else
  const auto low = __builtin_shuffle(a, b, typename Vector<W>::Mask{((I & D) == 0 ? I : W + I - D)...});
  const auto high = __builtin_shuffle(a, b, typename Vector<W>::Mask{((I & D) == 0 ? I + D : W + I)...});
#endif
  a = low;
  b = high;
}

// Turn rows into columns, in log2(W) rounds of exchanges.
template <int W, int D = W / 2>
INLINE void transpose(typename Vector<W>::Type *rows) {
  UNROLL
  for (int i = 0; i < W; i++)
    if (!(i & D)) exchange<W, D>(rows[i], rows[i + D], std::make_integer_sequence<int, W>{});
  if constexpr (D > 1) transpose<W, D / 2>(rows);
}

template <int W>
void interleave_by(const float *from, Index stride, int live, Index count, const int *where, float *to) {
  using V = typename Vector<W>::Type;
  using U = typename Vector<W>::Unaligned;
  for (Index start = 0; start < count; start += W) {
    V rows[W];
    const int width = std::min<Index>(W, count - start);
    if (width == W && live == W) {
      UNROLL
      for (int i = 0; i < W; i++) rows[i] = *reinterpret_cast<const U *>(from + i * stride + start);
    } else {
      std::memset(rows, 0, sizeof rows);
      for (int i = 0; i < live; i++) std::memcpy(&rows[i], from + i * stride + start, 4 * width);
    }
    transpose<W>(rows);
    for (int i = 0; i < width; i++)
      if (where[start + i] >= 0) *reinterpret_cast<U *>(to + where[start + i]) = rows[i];
  }
}

// Put `count` numbers of each of `lanes` rows, `stride` apart, side by side: number i of all rows to to[where[i]...].
// Only the first `live` rows exist, the others are zeros; where[i] < 0: nowhere.
void interleave(int lanes, const float *from, Index stride, int live, Index count, const int *where, float *to) {
  if (lanes == LANES) return interleave_by<LANES>(from, stride, live, count, where, to);
  if (lanes == 8 && LANES > 8) return interleave_by<8>(from, stride, live, count, where, to);
  if (lanes == 4 && LANES > 4) return interleave_by<4>(from, stride, live, count, where, to);
  for (Index i = 0; i < count; i++)
    if (where[i] >= 0)
      for (int row = 0; row < lanes; row++) to[where[i] + row] = row < live ? from[row * stride + i] : 0.0f;
}

template <int W>
void separate_by(const float *from, const int *where, Index count, float *to, Index stride, int live, float bias,
                 float slope) {
  using V = typename Vector<W>::Type;
  using U = typename Vector<W>::Unaligned;
  for (Index start = 0; start < count; start += W) {
    V rows[W];
    const int width = std::min<Index>(W, count - start);
    for (int i = 0; i < W; i++) {
      const int at = i < width ? where[start + i] : -1;
      const V sum = (at >= 0 ? V(*reinterpret_cast<const U *>(from + at)) : V{}) + bias;
      rows[i] = sum > 0.0f ? sum : slope * sum;
    }
    transpose<W>(rows);
    if (width == W)
      for (int i = 0; i < live; i++) *reinterpret_cast<U *>(to + i * stride + start) = rows[i];
    else
      for (int i = 0; i < live; i++) std::memcpy(to + i * stride + start, &rows[i], 4 * width);
  }
}

// The way back, with an ending of one bias; where[i] < 0: zero.
void separate(int lanes, const float *from, const int *where, Index count, float *to, Index stride, int live,
              const Ending &ending = {}) {
  const float bias = ending.bias == nullptr ? 0.0f : *ending.bias, slope = ending.slope;
  if (lanes == LANES) return separate_by<LANES>(from, where, count, to, stride, live, bias, slope);
  if (lanes == 8 && LANES > 8) return separate_by<8>(from, where, count, to, stride, live, bias, slope);
  if (lanes == 4 && LANES > 4) return separate_by<4>(from, where, count, to, stride, live, bias, slope);
  for (int row = 0; row < live; row++)
    for (Index i = 0; i < count; i++) {
      const float sum = (where[i] >= 0 ? from[where[i] + row] : 0.0f) + bias;
      to[row * stride + i] = sum > 0.0f ? sum : slope * sum;
    }
}

// 0, step, 2 step, ...
std::vector<int> multiples(Index step, Index count) {
  std::vector<int> numbers(count);
  for (Index i = 0; i < count; i++) numbers[i] = static_cast<int>(i * step);
  return numbers;
}

constexpr Index DEPTH = 256;  // of numbers that are added up one by one, before sums are

// ---- The innermost loops --------------------------------------------------------------------------------------------

// c[m][j] (+)= sum over k of a[m][k] * b[j][offset[k]], for M rows and V vectors.
// Packed: a[m][k] is number k * ROWS + m of `a`, else m * a_row + k.
template <int M, int V, bool Packed>
INLINE void tile(const float *a, Index a_row, const float *const *b, const int *offset, Index depth, float *const *c,
                 Index c_row, bool add) {
  Vec sum[M][V];
  const float *from[V];
  UNROLL
  for (int j = 0; j < V; j++) from[j] = b[j];
  UNROLL
  for (int m = 0; m < M; m++)
    UNROLL
    for (int j = 0; j < V; j++) sum[m][j] = Vec{};
  for (Index k = 0; k < depth; k++) {
    const Index at = offset[k];
    Vec x[V];
    UNROLL
    for (int j = 0; j < V; j++) x[j] = load(from[j] + at);
    UNROLL
    for (int m = 0; m < M; m++) {
      const float weight = Packed ? a[k * ROWS + m] : a[m * a_row + k];
      UNROLL
      for (int j = 0; j < V; j++) sum[m][j] += weight * x[j];
    }
  }
  UNROLL
  for (int m = 0; m < M; m++)
    UNROLL
    for (int j = 0; j < V; j++) {
      float *to = c[j] + m * c_row;
      store(to, add ? load(to) + sum[m][j] : sum[m][j]);
    }
}

template <bool Packed, int M = ROWS>
void tile_of(int rows, int vectors, const float *a, Index a_row, const float *const *b, const int *offset, Index depth,
             float *const *c, Index c_row, bool add) {
  if constexpr (M > 1)
    if (rows < M) return tile_of<Packed, M - 1>(rows, vectors, a, a_row, b, offset, depth, c, c_row, add);
  if (vectors == 1) return tile<M, 1, Packed>(a, a_row, b, offset, depth, c, c_row, add);
  if (vectors == 2 || COLUMNS == 2) return tile<M, 2, Packed>(a, a_row, b, offset, depth, c, c_row, add);
  tile<M, COLUMNS, Packed>(a, a_row, b, offset, depth, c, c_row, add);
}

// The same for any number of rows, and for vectors anywhere: j is read from b + from[j] and written to c + to[j].
// Packed: `a` comes in blocks of ROWS rows, the last one filled up.
template <bool Packed>
void multiply(int rows, Index vectors, const float *a, Index a_row, const float *b, const int *from, const int *offset,
              Index depth, float *c, const int *to, Index c_row, bool add) {
  const Index pieces = ceil_div(vectors, COLUMNS);
  for (Index piece = 0, start = 0; piece < pieces; piece++) {
    const int width = static_cast<int>(ceil_div(vectors - start, pieces - piece));
    const float *sources[COLUMNS];
    for (int j = 0; j < width; j++) sources[j] = b + from[start + j];
    for (int m = 0; m < rows; m += ROWS) {
      float *results[COLUMNS];
      for (int j = 0; j < width; j++) results[j] = c + m * c_row + to[start + j];
      tile_of<Packed>(std::min(ROWS, rows - m), width, Packed ? a + m * depth : a + m * a_row, a_row, sources, offset,
                      depth, results, c_row, add);
    }
    start += width;
  }
}

}  // namespace
