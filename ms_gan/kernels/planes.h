// What convolutions of all ways share: their sizes, and how images, gradients and results lie in memory.
//
// Lanes are images. Up to 16 images side by side, with AVX-512, are the innermost dimension of whatever is computed, so
// that any number of channels, row width and kernel is as good as any other. Where there are fewer side by side, a
// register spans neighbouring columns of a row.
//
// Strides vanish. A convolution of stride s is one of stride 1 on s*s times as many channels: pixels whose row and column
// leave the same remainders, their phase, are channels of their own, and so are the numbers of the kernel.
#pragma once

#include <algorithm>
#include <vector>

#include "lanes.h"
#include "threads.h"

namespace {

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

}  // namespace
