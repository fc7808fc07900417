// Hold a converted model against a bundle's golden.json, with MindSpore Lite: lite CONVERTED.mindir golden.json [cpu|ascend]
//
// The converter, `converter_lite --fmk=ONNX --saveType=MINDIR`, makes CONVERTED.mindir from generator/1/generator.onnx.
// Compiled, and run on a CPU, with the headers and libraries of mindspore-lite 2.0.0. Not run on Ascend: no device was
// available. A model that was converted for certain batches takes no other one: golden.json has two rows.
//
// g++ -std=c++17 lite.cc -I$LITE_HOME/runtime -L$LITE_HOME/runtime/lib -lmindspore-lite -o lite

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "include/api/context.h"
#include "include/api/model.h"
#include "include/api/types.h"

// The numbers of the list "key" behind the first "owner" of a JSON, whose lists hold numbers alone.
std::vector<double> NumbersOf(const std::string &json, const std::string &owner, const std::string &key) {
  std::vector<double> numbers;
  const char *place = json.c_str() + json.find('[', json.find("\"" + key + "\"", json.find("\"" + owner + "\"")));
  do {
    char *end;
    numbers.push_back(std::strtod(place + 1, &end));
    place = end;
  } while (*place == ',');
  return numbers;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    std::cerr << "usage: lite CONVERTED.mindir golden.json [cpu|ascend]\n";
    return 2;
  }
  std::ifstream file(argv[2]);
  const std::string golden((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (golden.find("\"generator\"") == std::string::npos) {
    std::cerr << "cannot read " << argv[2] << "\n";
    return 1;
  }

  auto context = std::make_shared<mindspore::Context>();
  if (argc > 3 && !std::strcmp(argv[3], "ascend")) {
    auto ascend = std::make_shared<mindspore::AscendDeviceInfo>();
    ascend->SetDeviceID(0);
    context->MutableDeviceInfo().push_back(ascend);
  } else {
    context->MutableDeviceInfo().push_back(std::make_shared<mindspore::CPUDeviceInfo>());
  }
  mindspore::Model model;
  if (model.Build(argv[1], mindspore::kMindIR, context) != mindspore::kSuccess) {
    std::cerr << "cannot load " << argv[1] << "\n";
    return 1;
  }

  std::vector<std::vector<int64_t>> shapes;
  for (const auto &input : model.GetInputs()) {
    const auto shape = NumbersOf(golden, input.Name(), "shape");
    shapes.emplace_back(shape.begin(), shape.end());
  }
  if (model.Resize(model.GetInputs(), shapes) != mindspore::kSuccess) {
    std::cerr << "the model does not take what golden.json holds\n";
    return 1;
  }
  auto inputs = model.GetInputs();
  for (auto &input : inputs) {
    const auto numbers = NumbersOf(golden, input.Name(), "data");
    if (input.DataType() == mindspore::DataType::kNumberTypeInt32) {
      std::copy(numbers.begin(), numbers.end(), static_cast<int32_t *>(input.MutableData()));  // the label
    } else {
      std::copy(numbers.begin(), numbers.end(), static_cast<float *>(input.MutableData()));  // the latent
    }
  }
  std::vector<mindspore::MSTensor> outputs;
  if (model.Predict(inputs, &outputs) != mindspore::kSuccess) {
    std::cerr << "the model failed\n";
    return 1;
  }

  const auto due = NumbersOf(golden, "outputs", "data");
  const auto *image = static_cast<const float *>(outputs[0].Data().get());  // in [0, 1], N×C×H×W
  double greatest = 0;
  for (size_t at = 0; at < due.size(); ++at) greatest = std::max(greatest, std::fabs(image[at] - due[at]));
  std::cout << "differs from golden.json by " << greatest << "; 1e-05 is allowed\n";
  return greatest <= 1e-5 && outputs[0].ElementNum() == static_cast<int64_t>(due.size()) ? 0 : 1;
}
