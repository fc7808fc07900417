// Hold a converted model against a bundle's golden.json, with MindSpore Lite: lite CONVERTED.mindir golden.json [cpu|ascend]
//
// The converter, `converter_lite --fmk=ONNX --saveType=MINDIR`, makes CONVERTED.mindir from generator/1/generator.onnx.
// Compiled, and run on a CPU, with the headers and libraries of mindspore-lite 2.0.0. Not run on Ascend: no device was
// available. A model that was converted for certain batches takes no other one: golden.json has two rows.
//
// With LITE for the folder of the package mindspore_lite, as pip installs it:
//
// g++ -std=c++17 lite.cc -I$LITE -L$LITE/lib -l:libmindspore-extendrt_python.so -Wl,--allow-shlib-undefined
//     -D_GLIBCXX_USE_CXX11_ABI=0 -o lite
// LD_LIBRARY_PATH=$LITE/lib ./lite CONVERTED.mindir golden.json
//
// The archive from MindSpore's site has -I$LITE/runtime -L$LITE/runtime/lib -lmindspore-lite instead; that was not run.

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

// Where the value of a key begins that stands behind `from` in a JSON. Ends the program if there is none.
size_t Behind(const std::string &json, const std::string &key, size_t from) {
  const size_t found = json.find("\"" + key + "\":", from);
  if (found == std::string::npos) {
    std::cerr << "golden.json holds no " << key << "\n";
    std::exit(1);
  }
  return found + key.size() + 3;
}

// The numbers of the list "key" of a tensor of the generator, which is the first model in the file.
std::vector<double> NumbersOf(const std::string &json, const std::string &tensor, const std::string &key) {
  std::vector<double> numbers;
  const size_t value = Behind(json, key, Behind(json, tensor, Behind(json, "generator", 0)));
  const char *place = json.c_str() + json.find('[', value);
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

  const auto due = NumbersOf(golden, "image", "data");
  if (outputs[0].DataType() != mindspore::DataType::kNumberTypeFloat32 ||
      outputs[0].ElementNum() != static_cast<int64_t>(due.size())) {
    std::cerr << "the model gives other tensors than golden.json holds\n";
    return 1;
  }
  const auto *image = static_cast<const float *>(outputs[0].Data().get());  // in [0, 1], N×C×H×W
  const double tolerance = std::strtod(golden.c_str() + Behind(golden, "tolerance", 0), nullptr);
  double greatest = 0;
  for (size_t at = 0; at < due.size(); ++at) {
    const double difference = std::fabs(image[at] - due[at]);
    if (!(difference <= greatest)) greatest = difference;  // NaN stays, and is not allowed
  }
  std::cout << "differs from golden.json by " << greatest << "; " << tolerance << " is allowed\n";
  return greatest <= tolerance ? 0 : 1;
}
