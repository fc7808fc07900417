// Products of matrices, float32: what Dense layers compute, forward and backward.
//
// The columns of the result are shared out among threads, some vectors at a time. Of the right matrix, what these columns
// need is copied into a piece that fits the cache; of the left one, blocks of ROWS rows. Sums are taken in parts of at
// most DEPTH numbers, which depend on the sizes alone: so results are the same at any number of threads.
#pragma once

#include <algorithm>
#include <cstring>

#include "lanes.h"
#include "threads.h"

namespace {

// A matrix that may lie transposed in memory: number (r, c) is from[r * row + c * column], where one of the two is 1.
struct Matrix {
  const float *from;
  Index row, column;
};

// Rows `first` to `first + live` of a part of the left matrix, [depth][ROWS], filled up with zeros.
void pack_rows(const Matrix &a, Index first, Index live, Index begin, Index depth, const int *multiples_of_rows,
               float *to) {
  const float *from = a.from + first * a.row + begin * a.column;
  if (a.column == 1) return interleave(ROWS, from, a.row, static_cast<int>(live), depth, multiples_of_rows, to);
  if (live == ROWS)
    for (Index k = 0; k < depth; k++) std::memcpy(to + k * ROWS, from + k * a.column, 4 * ROWS);
  else
    for (Index k = 0; k < depth; k++)
      for (Index i = 0; i < ROWS; i++) to[k * ROWS + i] = i < live ? from[k * a.column + i] : 0.0f;
}

// `live` columns of a part of the right matrix, from number `first` on: [panel][depth][width], filled up with zeros.
void pack_columns(const Matrix &b, Index first, Index live, Index begin, Index depth, Index width,
                  const int *multiples_of_width, float *to) {
  const float *from = b.from + begin * b.row + first * b.column;
  if (b.row == 1) {
    for (Index j = 0; j < round_up(live, width); j += LANES)
      interleave(LANES, from + j * b.column, b.column, static_cast<int>(std::clamp<Index>(live - j, 0, LANES)), depth,
                 multiples_of_width, to + j / width * depth * width + j % width);
    return;
  }
  for (Index k = 0; k < depth; k++)
    for (Index j = 0; j < live; j += width) {
      float *row = to + (j / width * depth + k) * width;
      const Index count = std::min(width, live - j);
      std::memcpy(row, from + k * b.row + j, 4 * count);
      if (count < width) std::memset(row + count, 0, 4 * (width - count));
    }
}

// c[i][j] = ending(sum over k of a(i, k) * b(k, j)), of rows x columns; c lies in rows.
void matrix_product(Index rows, Index columns, Index depth, const Matrix &a, const Matrix &b, const Ending &ending,
                    float *c) {
  const Index blocks = ceil_div(rows, ROWS), padded = blocks * ROWS;
  const Index parts = std::max<Index>(1, ceil_div(depth, DEPTH)), of_part = ceil_div(depth, parts);
  const auto begin = [&](Index part) { return part * of_part; };
  const auto length = [&](Index part) { return std::clamp<Index>(depth - part * of_part, 0, of_part); };
  shared.begin(Arena::room(padded * depth));
  float *left = shared.take(padded * depth);  // [part][block][depth of the part][ROWS]
  const std::vector<int> by_rows = multiples(ROWS, of_part);
  pool().run(static_cast<int>(blocks), [&](int, int block) {
    const Index first = block * ROWS;
    for (Index part = 0; part < parts; part++)
      pack_rows(a, first, std::min<Index>(ROWS, rows - first), begin(part), length(part), by_rows.data(),
                left + padded * begin(part) + first * length(part));
  }, double(padded) * depth);

  // A unit is some panels of columns: a longer piece of each row of b is copied at once. All panels but the last are whole.
  const Index vectors = ceil_div(columns, LANES), wanted = ceil_div(vectors, 2 * pool().threads());
  const Index at_once = std::clamp<Index>(wanted, 1, COLUMNS), width = at_once * LANES;
  const Index panels = std::clamp<Index>(wanted / at_once, 1, 4), of_unit = panels * width;
  const std::vector<int> places = multiples(LANES, at_once), right_rows = multiples(width, of_part);
  pool().run(static_cast<int>(ceil_div(columns, of_unit)), [&](int worker, int unit) {
    const auto [right, sums] = own()[worker].pieces<2>({of_part * of_unit, padded * width});
    const Index begin_unit = unit * of_unit, live_unit = std::min(of_unit, columns - begin_unit);
    for (Index part = 0; part < parts; part++) {
      pack_columns(b, begin_unit, live_unit, begin(part), length(part), width, right_rows.data(), right);
      for (Index j = 0; j < live_unit; j += width) {
        const Index first = begin_unit + j, live = std::min(width, columns - first);
        const bool whole = live == width;  // else results go through memory with room for what is over
        float *to = whole ? c + first : sums;
        const Index row = whole ? columns : width;
        multiply<true>(static_cast<int>(rows), at_once, left + padded * begin(part), 0, right + j * length(part),
                       places.data(), right_rows.data(), length(part), to, places.data(), row, part > 0);
        if (part + 1 < parts || (whole && ending.is_none())) continue;
        Vec bias[COLUMNS] = {};
        if (ending.bias != nullptr) std::memcpy(bias, ending.bias + first, 4 * live);
        for (Index i = 0; i < rows; i++)
          for (Index v = 0; v < live; v += LANES) {
            const Index at = i * columns + first + v;
            const Vec sum = load(to + i * row + v);
            if (ending.signs != nullptr)
              store_part(c + at, load_part(ending.signs + at, live - v) > 0.0f ? sum : ending.slope * sum, live - v);
            else
              store_part(c + at, ending.is_none() ? sum : ending(sum, bias[v / LANES]), live - v);
          }
      }
    }
  }, double(padded) * depth * vectors);
}

}  // namespace
