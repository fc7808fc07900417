// What MindSpore calls, as AOT custom operators.
#include <cstring>

#include "activations.h"
#include "channels.h"
#include "convolution.h"
#include "matrices.h"
#include "stack.h"
#include "updates.h"

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
  Index size(int i) const { return std::accumulate(shapes[i], shapes[i] + dimensions[i], Index{1}, std::multiplies<>()); }
  // Whether what follows the third input of a convolution is nothing, the result's shape, or a bias and a slope.
  bool has_ending_or_shape(int last) const { return last == 3 || (last == 4 && alike(3, last)) || last == 5; }
  bool alike(int i, int j) const {
    return dimensions[i] == dimensions[j] && std::equal(shapes[i], shapes[i] + dimensions[i], shapes[j]) &&
           (types == nullptr || std::strcmp(types[i], types[j]) == 0);
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
  if (!call.has_ending_or_shape(last) || !call.is_row(2, 4, "int32")) return false;
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
  if (last == 5 || !call.has_ending_or_shape(last) || !call.is_row(2, 4, "int32")) return false;
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
  if (call.count != 5 || !are_maps(call, 0) || !are_maps(call, 1) || !call.alike(0, 1) || !call.is_row(2, 1) || !call.alike(0, 3) ||
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

// {beta1's power, beta2's power, rate, beta1, beta2, epsilon}, each of shape () or (1,); then all weights, all first and
// all second moments, all gradients -> 0. All but the numbers from `rate` on and the gradients change in place.
OPERATOR(adam) {
  constexpr int NUMBERS = 6;
  const int networks = call.count - NUMBERS - 1, arrays = networks / 4;
  if (arrays < 1 || networks % 4 != 0 || !call.is_row(call.count - 1, 1)) return false;
  for (int i = 0; i < NUMBERS; i++)
    if (!call.is(i, "float32", 0, 1) || call.size(i) != 1) return false;
  const auto place = [&](int kind, int array) { return NUMBERS + kind * arrays + array; };
  std::vector<Index> lengths;
  for (int array = 0; array < arrays; array++) {
    for (int kind = 0; kind < 4; kind++)
      if (!call.is(place(kind, array), "float32", 0, 8) || !call.alike(place(0, array), place(kind, array))) return false;
    lengths.push_back(call.size(place(0, array)));
  }
  const float beta1 = *call.numbers(3), beta2 = *call.numbers(4);
  const float power1 = *call.numbers(0) *= beta1, power2 = *call.numbers(1) *= beta2;
  const Adam adam = {*call.numbers(2) * std::sqrt(1.0f - power2) / (1.0f - power1), beta1, beta2, *call.numbers(5)};
  for_pieces(lengths, [&](int array, Index first, Index count) {
    adam.update(count, call.numbers(place(3, array)) + first, call.numbers(place(0, array)) + first,
                call.numbers(place(1, array)) + first, call.numbers(place(2, array)) + first);
  });
  *call.numbers(call.count - 1) = 0.0f;
  return true;
}

// Operators of a stack take MOST inputs, of which the last may be nothing: their gradients have so many arguments. Its
// numbers are {normalizes, slope, epsilon, share} for each stage, its parameters two for each.
constexpr int MOST = 24;

static bool read_stack(const Call &call, int x, int numbers, int parameters, Stack &stack) {
  if (call.count <= MOST || !call.is_tensor(x, 2) || !call.is(numbers, "float32", 1, 1)) return false;
  const int count = static_cast<int>(call.shapes[numbers][0] / 4);
  if (call.shapes[numbers][0] != 4 * count || parameters + 2 * count > MOST) return false;
  stack.images = call.shapes[x][0];
  Index width = call.shapes[x][1];
  for (int i = 0; i < count; i++) {
    const int first = parameters + 2 * i, second = first + 1;
    const float *found = call.numbers(numbers) + 4 * i;
    const bool normalizes = found[0] != 0.0f;
    if (normalizes ? i == 0 || stack.stages.back().normalizes || !call.is_row(first, width)
                   : !call.is_tensor(first, 2) || call.shapes[first][1] != width)
      return false;
    const Index outputs = call.shapes[first][0];
    if (!call.is_row(second, outputs)) return false;
    stack.stages.push_back({normalizes, found[1], found[2], found[3], call.numbers(first), call.numbers(second), width, outputs});
    width = outputs;
  }
  return count > 0;
}

// Whether a tensor has a row of numbers for each image.
static bool are_rows(const Call &call, int i, Index images, Index width) {
  return call.is_tensor(i, 2) && call.shapes[i][0] == images && call.shapes[i][1] == width;
}

OPERATOR(stack) {  // x, numbers, parameters -> y, hidden
  Stack stack;
  if (call.count != MOST + 2 || !read_stack(call, 0, 1, 2, stack)) return false;
  if (!are_rows(call, MOST, stack.images, stack.stages.back().outputs) || !call.is_row(MOST + 1, stack.hidden_size()))
    return false;
  stack.forward(call.numbers(0), call.numbers(MOST + 1), call.numbers(MOST));
  return true;
}

OPERATOR(stack_gradient) {  // dy, y, x, numbers, hidden, parameters -> dz, rest
  Stack stack;
  if (call.count != MOST + 2 || !read_stack(call, 2, 3, 5, stack)) return false;
  for (int i : {0, 1})
    if (!are_rows(call, i, stack.images, stack.stages.back().outputs)) return false;
  if (!call.is_row(4, stack.hidden_size()) || !are_rows(call, MOST, stack.images, stack.stages[0].outputs) ||
      !call.is_row(MOST + 1, stack.rest_size()))
    return false;
  stack.backward(call.numbers(0), call.numbers(1), call.numbers(4), call.numbers(MOST), call.numbers(MOST + 1));
  return true;
}

OPERATOR(stack_to_parameters) {  // dy, x, numbers, hidden, dz, rest, parameters -> the gradients to the parameters
  Stack stack;
  if (!read_stack(call, 1, 2, 6, stack)) return false;
  const int count = static_cast<int>(2 * stack.stages.size());
  if (call.count != MOST + count || !are_rows(call, 0, stack.images, stack.stages.back().outputs) ||
      !call.is_row(3, stack.hidden_size()) || !are_rows(call, 4, stack.images, stack.stages[0].outputs) ||
      !call.is_row(5, stack.rest_size()))
    return false;
  std::vector<float *> to;
  for (int i = 0; i < count; i++) {
    if (!call.alike(6 + i, MOST + i)) return false;
    to.push_back(call.numbers(MOST + i));
  }
  stack.to_parameters(call.numbers(1), call.numbers(0), call.numbers(3), call.numbers(4), call.numbers(5), to.data());
  return true;
}

OPERATOR(stack_twice) {  // a change of dz, dy, y, x, numbers, hidden, rest, parameters -> to dy, to weights but the first
  Stack stack;
  if (!read_stack(call, 3, 4, 7, stack)) return false;
  const int count = static_cast<int>(stack.stages.size());
  if (call.count != MOST + count || !are_rows(call, 0, stack.images, stack.stages[0].outputs) ||
      !call.is_row(5, stack.hidden_size()) || !call.is_row(6, stack.rest_size()))
    return false;
  for (int i : {1, 2, MOST})
    if (!are_rows(call, i, stack.images, stack.stages.back().outputs)) return false;
  std::vector<float *> to = {nullptr};
  for (int i = 1; i < count; i++) {
    if (stack.stages[i].normalizes || !call.alike(7 + 2 * i, MOST + i)) return false;
    to.push_back(call.numbers(MOST + i));
  }
  stack.twice(call.numbers(0), call.numbers(1), call.numbers(2), call.numbers(5), call.numbers(6), call.numbers(MOST), to.data());
  return true;
}

// hidden, numbers, {images}, then the moving mean and variance of each stage that normalises, which change in place -> 0
OPERATOR(stack_statistics) {
  if (call.count != MOST + 1 || !call.is(0, "float32", 1, 1) || !call.is(1, "float32", 1, 1) || !call.is_row(2, 1) ||
      !call.is_row(MOST, 1) || call.size(1) % 4 != 0)
    return false;
  const double images = *call.numbers(2);
  const float unbiased = static_cast<float>(images / std::max(images - 1.0, 1.0));
  Index at = 0;
  int moving = 3;
  for (Index i = 0; i < call.shapes[1][0]; i += 4) {
    if (call.numbers(1)[i] == 0.0f) continue;
    for (float factor : {1.0f, unbiased}) {
      if (moving == MOST || !call.is(moving, "float32", 1, 1) || at + call.size(moving) > call.size(0)) return false;
      const Index width = call.size(moving);
      float *to = call.numbers(moving++);
      move_towards(width, to, call.numbers(0) + at, factor, call.numbers(1)[i + 3], to);
      at += width;
    }
  }
  *call.numbers(MOST) = 0.0f;
  return true;
}

// x, {1} for tanh or {0} for sigmoid -> y
OPERATOR(squash) {
  if (call.count != 3 || !call.is(0, "float32", 0, 8) || !call.is_row(1, 1) || !call.alike(0, 2)) return false;
  squash(call.size(0), *call.numbers(1) != 0.0f, call.numbers(0), call.numbers(2));
  return true;
}

OPERATOR(squash_gradient) {  // dy, y, the same -> dx
  if (call.count != 4 || !call.is(0, "float32", 0, 8) || !call.is(1, "float32", 0, 8) || !call.is_row(2, 1) ||
      !call.alike(0, 1) || !call.alike(0, 3))
    return false;
  squash_gradient(call.size(0), *call.numbers(2) != 0.0f, call.numbers(0), call.numbers(1), call.numbers(3));
  return true;
}

OPERATOR(follow) {  // rate, then averages, which change in place, then what they follow -> 0
  const int arrays = (call.count - 2) / 2;
  if (arrays < 1 || call.count != 2 + 2 * arrays || !call.is(0, "float32", 0, 1) || call.size(0) != 1 ||
      !call.is_row(call.count - 1, 1))
    return false;
  std::vector<Index> lengths;
  for (int array = 0; array < arrays; array++) {
    for (int i : {1 + array, 1 + arrays + array})
      if (!call.is(i, "float32", 0, 8)) return false;
    if (!call.alike(1 + array, 1 + arrays + array)) return false;
    lengths.push_back(call.size(1 + array));
  }
  for_pieces(lengths, [&](int array, Index first, Index count) {
    follow(count, *call.numbers(0), call.numbers(1 + arrays + array) + first, call.numbers(1 + array) + first);
  });
  *call.numbers(call.count - 1) = 0.0f;
  return true;
}

static bool are_pooled(const Call &call, int x, int y) {
  if (!call.is_tensor(x, 4) || !call.is_tensor(y, 4)) return false;
  for (int d = 0; d < 4; d++)
    if (call.shapes[y][d] != (d < 2 ? call.shapes[x][d] : ceil_div(call.shapes[x][d], 2))) return false;
  return true;
}

static Pool2x2 pool_of(const int64_t *x) { return {x[0] * x[1], x[2], x[3]}; }

static bool are_halved(const Call &call, int large, int small) {
  return are_pooled(call, large, small) && call.shapes[large][2] % 2 == 0 && call.shapes[large][3] % 2 == 0;
}

OPERATOR(shrink) {  // x, factor -> y
  if (call.count != 3 || !call.is_row(1, 1) || !are_halved(call, 0, 2)) return false;
  shrink(pool_of(call.shapes[0]), *call.numbers(1), call.numbers(0), call.numbers(2));
  return true;
}

OPERATOR(grow) {  // x, factor -> y
  if (call.count != 3 || !call.is_row(1, 1) || !are_halved(call, 2, 0)) return false;
  grow(pool_of(call.shapes[2]), *call.numbers(1), call.numbers(0), call.numbers(2));
  return true;
}

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
