"""Which of MindSpore's operators a compiled graph holds, and of which types."""

from __future__ import annotations

from mindspore import nn

# of the graph itself: they order and group, and compute nothing
STRUCTURE = {"Depend", "Load", "MakeTuple", "Return", "TupleGetItem", "UpdateState", "return"}


def operators(cell: nn.Cell) -> dict[str, set[str]]:
    """Return the operators of a Cell that has run, each with the types of its inputs and outputs, such as "float32".

    It is the graph as MindSpore's front end leaves it to any device, with the gradients in it. Raises ValueError for a
    graph with others in it, as loops and branches have: these are not looked into.
    """
    from mindspore.common.api import _cell_graph_executor
    from mindspore.train import anf_ir_pb2

    model = anf_ir_pb2.ModelProto()
    model.ParseFromString(_cell_graph_executor.get_optimize_graph_proto(cell))
    names = anf_ir_pb2.DataType.Name

    def types(kind) -> set[str]:
        if kind.data_type == anf_ir_pb2.DT_TENSOR:
            return {names(kind.tensor_type.elem_type).removeprefix("DT_").lower()}
        if kind.data_type == anf_ir_pb2.DT_TUPLE:
            return set().union(*map(types, kind.sequence_type.elem_types))
        return set()

    of = {each.name: types(each.type) for each in model.graph.parameters}
    of.update({each.key: _of_constant(each.value, names) for each in model.graph.const_vals})
    found: dict[str, set[str]] = {}
    for node in model.graph.node:
        of[node.name] = types(node.output_type)
        if node.op_type in ("", "Partial", "Switch", "SwitchLayer", "call"):
            raise ValueError(f"{node.full_name}: another graph is called")
        if node.op_type not in STRUCTURE:
            inputs = (of.get(each.name, set()) for each in node.input)
            found.setdefault(node.op_type, set()).update(of[node.name], *inputs)
    return found


def _of_constant(value, names) -> set[str]:
    kind = names(value.dtype)
    return {names(value.tensor_val.data_type).removeprefix("DT_").lower()} if kind == "DT_TENSOR" else set()
