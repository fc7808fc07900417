// Draw images on Ascend with MindSpore Lite and a bundle's MindIR: lite generator.mindir LATENT_SIZE COUNT
//
// With labels: of class 0, or without tags. Written from the documented C++ interface of MindSpore Lite 2.6; neither
// compiled nor run: there was no Ascend device to run it on. A model that was converted ahead takes
// the batches that it was converted for: docs/serving.md, "Ascend".
//
// g++ -std=c++17 lite.cc -I$LITE_HOME/runtime -L$LITE_HOME/runtime/lib -lmindspore-lite -o lite

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <random>
#include <vector>

#include "include/api/context.h"
#include "include/api/model.h"
#include "include/api/types.h"

int main(int argc, char **argv) {
  if (argc != 4) {
    std::cerr << "usage: lite generator.mindir LATENT_SIZE COUNT\n";
    return 2;
  }
  const int64_t size = std::atoll(argv[2]), count = std::atoll(argv[3]);

  auto ascend = std::make_shared<mindspore::AscendDeviceInfo>();
  ascend->SetDeviceID(0);
  auto context = std::make_shared<mindspore::Context>();
  context->MutableDeviceInfo().push_back(ascend);

  mindspore::Model model;
  if (model.Build(argv[1], mindspore::kMindIR, context) != mindspore::kSuccess) {
    std::cerr << "cannot load " << argv[1] << "\n";
    return 1;
  }
  auto inputs = model.GetInputs();
  std::vector<std::vector<int64_t>> shapes = {{count, size}};
  if (inputs.size() > 1) {  // the label: a number for each image, or max_tags numbers
    shapes.push_back(inputs[1].Shape());
    shapes[1][0] = count;
  }
  if (model.Resize(inputs, shapes) != mindspore::kSuccess) {
    std::cerr << "the model does not take " << count << " latents of " << size << " numbers\n";
    return 1;
  }
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  auto *latent = static_cast<float *>(inputs[0].MutableData());
  for (int64_t index = 0; index < count * size; ++index) latent[index] = normal(random);
  if (inputs.size() > 1) std::memset(inputs[1].MutableData(), 0, inputs[1].DataSize());

  std::vector<mindspore::MSTensor> outputs;
  if (model.Predict(inputs, &outputs) != mindspore::kSuccess) {
    std::cerr << "the model failed\n";
    return 1;
  }
  const auto *image = static_cast<const float *>(outputs[0].Data().get());  // in [0, 1], N×C×H×W
  for (int64_t length : outputs[0].Shape()) std::cout << length << " ";
  std::cout << "images; the first number is " << image[0] << "\n";
}
