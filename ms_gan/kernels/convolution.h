// Convolutions for training on CPU: Conv2d and its two gradients, float32, NCHW, any kernel size, stride and padding.
// A transposed convolution is the gradient to the input of a plain one.
//
// How images lie, and how strides vanish, is in planes.h. What is left is computed directly, or, where that takes less
// time, by Winograd's way. Only the weights' gradient, a sum over images, has channels innermost.
//
// Results do not depend on the number of threads, and an image's not on what else is in its batch: what is summed, in
// which order and in which of the two ways, follows from the sizes alone, the batch's among them.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "winograd.h"

namespace {

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
  const char *forced = std::getenv("MS_GAN_KERNELS_WAY");  // for tests
  if (forced != nullptr && std::strcmp(forced, "w") == 0) return what.reach_h;
  if (forced != nullptr && std::strcmp(forced, "d") == 0) return 0;
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
