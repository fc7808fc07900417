// What MindSpore calls, as AOT custom operators.
#include <cstring>

#include "channels.h"
#include "convolution.h"
#include "matrices.h"

namespace {

// Padding before an image, where -1 stands for pad_mode "same": half of what is needed, the smaller half.
int padding(int given, int size, int out, int kernel, int stride) {
  return given >= 0 ? given : std::max((out - 1) * stride + kernel - size, 0) / 2;
}

// Whether three shapes and the strides belong together, and are of sizes that can be counted by int.
bool fit(const int64_t *x, const int64_t *weight, const int64_t *y, const void *geometry) {
  const int32_t *stride = static_cast<const int32_t *>(geometry);
  for (const int64_t *shape : {x, weight, y})
    for (int i = 0; i < 4; i++)
      if (shape[i] < 1 || shape[i] >= (int64_t(1) << 27)) return false;
  return stride[0] > 0 && stride[1] > 0 && x[0] == y[0] && x[1] == weight[1] && y[1] == weight[0];
}

Convolution sizes(const int64_t *x, const int64_t *weight, const int64_t *y, const void *geometry) {
  const int32_t *g = static_cast<const int32_t *>(geometry);
  const auto number = [](int64_t value) { return static_cast<int>(value); };
  const auto side = [&](int which) {
    Side s{number(x[2 + which]), number(weight[2 + which]), g[which], 0, number(y[2 + which])};
    s.padding = padding(g[2 + which], s.size, s.out, s.kernel, s.stride);
    return s;
  };
  return {number(x[0]), number(x[1]), number(y[1]), side(0), side(1)};
}

// One call, with inputs and then results. Dimensions and types are those that MindSpore gives.
struct Call {
  int count;
  void **data;
  const int *dimensions;
  int64_t **shapes;
  const char **types;

  float *numbers(int i) const { return static_cast<float *>(data[i]); }
  const int32_t *integers(int i) const { return static_cast<int32_t *>(data[i]); }
  bool is(int i, const char *type, int least, int most) const {
    if (dimensions[i] < least || dimensions[i] > most || (types != nullptr && std::strcmp(types[i], type) != 0)) return false;
    for (int d = 0; d < dimensions[i]; d++)
      if (shapes[i][d] < 1 || shapes[i][d] >= (int64_t(1) << 31)) return false;
    return true;
  }
  bool is_tensor(int i, int dimensions) const { return is(i, "float32", dimensions, dimensions); }
  // So many numbers in a row, of any shape.
  bool is_row(int i, Index length, const char *type = "float32") const {
    return is(i, type, 1, 1) && shapes[i][0] == length;
  }
  bool alike(int i, int j) const {
    return dimensions[i] == dimensions[j] && std::equal(shapes[i], shapes[i] + dimensions[i], shapes[j]);
  }
};

// Anything but 0 makes MindSpore raise RuntimeError.
int guarded(const Call &call, bool (*compute)(const Call &)) {
  try {
    std::lock_guard<std::mutex> lock(one_call);
    own();  // no thread may be the first to ask for it
    return compute(call) ? 0 : 1;
  } catch (const std::exception &) {  // out of memory
    return 2;
  }
}

}  // namespace

#define OPERATOR(name)                                                                                     \
  static bool compute_##name(const Call &call);                                                            \
  extern "C" __attribute__((visibility("default"))) int ms_gan_##name(                                     \
      int count, void **data, int *dimensions, int64_t **shapes, const char **types, void *, void *) {     \
    return guarded({count, data, dimensions, shapes, types}, compute_##name);                              \
  }                                                                                                        \
  static bool compute_##name(const Call &call)

// Convolutions take two tensors, then int32 {stride_h, stride_w, top, left}; then a bias and the slope of a LeakyReLU
// that follows, or else nothing, or something that has the result's shape, for MindSpore to know it by.
static bool correlation(const Call &call, bool backward) {
  const int last = call.count - 1, x = backward ? last : 0, y = backward ? 0 : last;
  if (last < 3 || !call.is_row(2, 4, "int32")) return false;
  for (int i : {0, 1, last})
    if (!call.is_tensor(i, 4)) return false;
  if (!fit(call.shapes[x], call.shapes[1], call.shapes[y], call.data[2])) return false;
  Ending ending;
  if (last == 5) {
    if (!call.is_row(3, call.shapes[last][1]) || !call.is_row(4, 1)) return false;
    ending = {call.numbers(3), *call.numbers(4)};
  }
  const Convolution c = sizes(call.shapes[x], call.shapes[1], call.shapes[y], call.data[2]);
  correlate(c, backward ? backward_of(c) : forward_of(c), call.numbers(0), call.numbers(1), ending, call.numbers(last));
  return true;
}

OPERATOR(convolution) { return correlation(call, false); }  // x, weight, ... -> y

OPERATOR(convolution_to_input) { return correlation(call, true); }  // dy, weight, ... -> dx

OPERATOR(convolution_to_weight) {  // x, dy, ... -> dw
  const int last = call.count - 1;
  if (last < 3 || !call.is_row(2, 4, "int32")) return false;
  for (int i : {0, 1, last})
    if (!call.is_tensor(i, 4)) return false;
  if (!fit(call.shapes[0], call.shapes[last], call.shapes[1], call.data[2])) return false;
  weight_gradient(sizes(call.shapes[0], call.shapes[last], call.shapes[1], call.data[2]), call.numbers(0),
                  call.numbers(1), call.numbers(last));
  return true;
}

// a, b, int32 {is a transposed, is b transposed}, then a bias and the slope of a LeakyReLU that follows, or nothing -> c
OPERATOR(product) {
  const int last = call.count - 1;
  if ((last != 3 && last != 5) || !call.is_row(2, 2, "int32")) return false;
  for (int i : {0, 1, last})
    if (!call.is_tensor(i, 2)) return false;
  const int64_t *a = call.shapes[0], *b = call.shapes[1], *c = call.shapes[last];
  const bool turn_a = call.integers(2)[0] != 0, turn_b = call.integers(2)[1] != 0;
  const Index rows = a[turn_a], columns = b[!turn_b], depth = a[!turn_a];
  if (b[turn_b] != depth || c[0] != rows || c[1] != columns) return false;
  Ending ending;
  if (last == 5) {
    if (!call.is_row(3, columns) || !call.is_row(4, 1)) return false;
    ending = {call.numbers(3), *call.numbers(4)};
  }
  const auto matrix = [&](int i, bool turned) {
    const Index row = call.shapes[i][1];
    return turned ? Matrix{call.numbers(i), 1, row} : Matrix{call.numbers(i), row, 1};
  };
  matrix_product(rows, columns, depth, matrix(0, turn_a), matrix(1, turn_b), ending, call.numbers(last));
  return true;
}

// What has channels: (images, channels), or (images, channels, height, width).
static bool are_maps(const Call &call, int i) { return call.is(i, "float32", 2, 4) && call.dimensions[i] != 3; }

static Maps maps_of(const Call &call, int i) {
  const int64_t *shape = call.shapes[i];
  return {shape[0], shape[1], call.dimensions[i] == 2 ? 1 : shape[2] * shape[3]};
}

OPERATOR(activation_gradient) {  // dy, y, slope -> dz, db
  if (call.count != 5 || !are_maps(call, 0) || !call.alike(0, 1) || !call.is_row(2, 1) || !call.alike(0, 3) ||
      !call.is_row(4, call.shapes[0][1]))
    return false;
  activation_gradient(maps_of(call, 0), call.numbers(0), call.numbers(1), *call.numbers(2), call.numbers(3),
                      call.numbers(4));
  return true;
}

OPERATOR(bias_gradient) {  // dy -> db
  if (call.count != 2 || !are_maps(call, 0) || !call.is_row(1, call.shapes[0][1])) return false;
  bias_gradient(maps_of(call, 0), call.numbers(0), call.numbers(1));
  return true;
}

// x, gamma, beta, {epsilon, slope, share}, moving mean and variance -> y, mean, variance, moving mean and variance
OPERATOR(normalize) {
  if (call.count != 11 || !are_maps(call, 0) || !call.is_row(3, 3) || !call.alike(0, 6)) return false;
  for (int i : {1, 2, 4, 5, 7, 8, 9, 10})
    if (!call.is_row(i, call.shapes[0][1])) return false;
  const Maps maps = maps_of(call, 0);
  const float *numbers = call.numbers(3);
  const BatchNorm norm = {call.numbers(1), call.numbers(2), call.numbers(7), call.numbers(8), numbers[0], numbers[1]};
  normalize(maps, call.numbers(0), norm, call.numbers(6));
  const float unbiased = static_cast<float>(maps.count() / std::max(maps.count() - 1.0, 1.0));
  move_towards(maps.channels, call.numbers(4), call.numbers(7), 1.0f, numbers[2], call.numbers(9));
  move_towards(maps.channels, call.numbers(5), call.numbers(8), unbiased, numbers[2], call.numbers(10));
  return true;
}

OPERATOR(normalize_gradient) {  // dy, x, gamma, beta, {epsilon, slope, share}, mean, variance -> dx, dgamma, dbeta
  if (call.count != 10 || !are_maps(call, 0) || !call.alike(0, 1) || !call.is_row(4, 3) || !call.alike(0, 7))
    return false;
  for (int i : {2, 3, 5, 6, 8, 9})
    if (!call.is_row(i, call.shapes[0][1])) return false;
  const float *numbers = call.numbers(4);
  const BatchNorm norm = {call.numbers(2), call.numbers(3), call.numbers(5), call.numbers(6), numbers[0], numbers[1]};
  normalize_gradient(maps_of(call, 0), call.numbers(0), call.numbers(1), norm, call.numbers(7), call.numbers(8),
                     call.numbers(9));
  return true;
}

static bool are_pooled(const Call &call, int x, int y) {
  if (!call.is_tensor(x, 4) || !call.is_tensor(y, 4)) return false;
  for (int d = 0; d < 4; d++)
    if (call.shapes[y][d] != (d < 2 ? call.shapes[x][d] : ceil_div(call.shapes[x][d], 2))) return false;
  return true;
}

static Pool2x2 pool_of(const int64_t *x) { return {x[0] * x[1], x[2], x[3]}; }

OPERATOR(max_pool) {  // x -> y
  if (call.count != 2 || !are_pooled(call, 0, 1)) return false;
  max_pool(pool_of(call.shapes[0]), call.numbers(0), call.numbers(1));
  return true;
}

OPERATOR(max_pool_gradient) {  // dy, x, y -> dx
  if (call.count != 4 || !are_pooled(call, 1, 0) || !call.alike(0, 2) || !call.alike(1, 3)) return false;
  max_pool_gradient(pool_of(call.shapes[1]), call.numbers(0), call.numbers(1), call.numbers(2), call.numbers(3));
  return true;
}
