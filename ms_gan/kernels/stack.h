// Dense layers and batch normalisations, one after the other, as one: its values, and its gradients.
#pragma once

#include <cstring>
#include <vector>

#include "activations.h"
#include "channels.h"
#include "matrices.h"

namespace {

struct Stage {
  bool normalizes;  // else it is a Dense layer
  float slope;      // of the LeakyReLU at its end; 1 for none
  float epsilon, share;
  const float *first, *second;  // weight (outputs x inputs) and bias, or gamma and beta
  Index inputs, outputs;
};

// Numbers pass from array to array, each a row of features for each image. The first stage is a Dense layer, and so is
// the one before each that normalises. Of Dense layers, z is what comes before LeakyReLU.
struct Stack {
  Index images = 0;
  std::vector<Stage> stages;

  int last() const { return static_cast<int>(stages.size()) - 1; }
  Maps maps(int i) const { return {images, stages[i].outputs, 1}; }
  Index numbers(int i) const { return images * stages[i].outputs; }

  // `hidden`: mean and variance of each stage that normalises, then what comes out of each stage but the last.
  Index statistics(int i) const {
    Index at = 0;
    for (int j = 0; j < i; j++) at += stages[j].normalizes ? 2 * stages[j].outputs : 0;
    return at;
  }
  Index values(int i) const {
    Index at = statistics(last() + 1);
    for (int j = 0; j < i; j++) at += numbers(j);
    return at;
  }
  Index hidden_size() const { return values(last()); }

  // `rest` of the gradients: those to gamma and beta, then those to z of each Dense layer but the first, and but a last
  // one without LeakyReLU, whose z is what comes out.
  bool is_open(int i) const { return i == last() && !stages[i].normalizes && stages[i].slope == 1.0f; }
  Index gradients(int i) const {
    Index at = statistics(last() + 1);
    for (int j = 1; j < i; j++) at += stages[j].normalizes || is_open(j) ? 0 : numbers(j);
    return at;
  }
  Index rest_size() const { return std::max<Index>(1, gradients(last() + 1)); }

  BatchNorm norm(int i, float *hidden) const {
    const Stage &s = stages[i];
    float *mean = hidden + statistics(i);
    return {s.first, s.second, mean, mean + s.outputs, s.epsilon, s.slope};
  }
  Matrix weight(int i, bool turned) const {
    const Stage &s = stages[i];
    return turned ? Matrix{s.first, 1, s.inputs} : Matrix{s.first, s.inputs, 1};
  }
  Matrix rows(const float *from, Index width) const { return {from, width, 1}; }

  void forward(const float *x, float *hidden, float *y) const {
    for (int i = 0; i <= last(); i++) {
      const Stage &s = stages[i];
      float *to = i == last() ? y : hidden + values(i);
      if (s.normalizes) normalize(maps(i), x, norm(i, hidden), to);
      else matrix_product(images, s.outputs, s.inputs, rows(x, s.inputs), weight(i, true), {s.second, s.slope}, to);
      x = to;
    }
  }

  // From dy to the gradients to each z, to gamma and to beta.
  void backward(const float *dy, const float *y, float *hidden, float *dz, float *rest) const {
    const float *gradient = dy;  // to what comes out of stage i, or already to its z
    bool is_to_z = false;
    for (int i = last(); i >= 0; i--) {
      const Stage &s = stages[i];
      if (s.normalizes) {
        float *to = z_gradient(i - 1, dz, rest), *dgamma = rest + statistics(i);
        normalize_gradient(maps(i), gradient, hidden + values(i - 1), norm(i, hidden), to, dgamma, dgamma + s.outputs);
        gradient = to;
        continue;
      }
      if (!is_to_z && !is_open(i)) {
        float *to = z_gradient(i, dz, rest);
        gate(numbers(i), i == last() ? y : hidden + values(i), s.slope, gradient, to);
        gradient = to;
      }
      if (i == 0) return;
      is_to_z = !stages[i - 1].normalizes;
      float *next = is_to_z ? z_gradient(i - 1, dz, rest) : passing(numbers(i - 1));
      Ending ending;
      if (is_to_z) ending = {nullptr, stages[i - 1].slope, hidden + values(i - 1)};
      matrix_product(images, s.inputs, s.outputs, rows(gradient, s.outputs), weight(i, false), ending, next);
      gradient = next;
    }
  }

  // The gradients to the parameters, which lie where `to[2 * i]` and `to[2 * i + 1]` say.
  void to_parameters(const float *x, const float *dy, const float *hidden, const float *dz, const float *rest,
                     float *const *to) const {
    for (int i = 0; i <= last(); i++) {
      const Stage &s = stages[i];
      if (s.normalizes) {
        for (int which : {0, 1}) std::memcpy(to[2 * i + which], rest + statistics(i) + which * s.outputs, 4 * s.outputs);
        continue;
      }
      const float *gradient = z_gradient(i, dy, dz, rest);
      to_weight(i, i == 0 ? x : hidden + values(i - 1), gradient, to[2 * i]);
      bias_gradient(maps(i), gradient, to[2 * i + 1]);
    }
  }

  // Of Dense layers alone, from a change of the first dz: to dy, and to all weights but the first, at weights[i].
  void twice(const float *change, const float *dy, const float *y, const float *hidden, const float *rest, float *to_dy,
             float *const *weights) const {
    Index most = 0;
    for (int i = 0; i < last(); i++) most = std::max(most, numbers(i));
    float *turns[2] = {passing(2 * Arena::room(most)), nullptr};
    turns[1] = turns[0] + Arena::room(most);
    float *at = last() == 0 ? to_dy : turns[0];
    gate(numbers(0), last() == 0 ? y : hidden + values(0), stages[0].slope, change, at);
    for (int i = 1; i <= last(); i++) {
      const Stage &s = stages[i];
      to_weight(i, at, z_gradient(i, dy, nullptr, rest), weights[i]);
      float *next = i == last() ? to_dy : turns[i % 2];
      const Ending ending = {nullptr, s.slope, i == last() ? y : hidden + values(i)};
      matrix_product(images, s.outputs, s.inputs, rows(at, s.inputs), weight(i, true), ending, next);
      at = next;
    }
  }

 private:
  const float *z_gradient(int i, const float *dy, const float *dz, const float *rest) const {
    return is_open(i) ? dy : i == 0 ? dz : rest + gradients(i);
  }
  float *z_gradient(int i, float *dz, float *rest) const { return i == 0 ? dz : rest + gradients(i); }

  void to_weight(int i, const float *x, const float *dz, float *to) const {
    const Stage &s = stages[i];
    matrix_product(s.outputs, s.inputs, images, Matrix{dz, 1, s.outputs}, rows(x, s.inputs), {}, to);
  }

  static float *passing(Index floats) {
    static auto *arena = new Arena;
    arena->begin(Arena::room(floats));
    return arena->take(floats);
  }
};

}  // namespace
