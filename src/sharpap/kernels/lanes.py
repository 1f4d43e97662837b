"""A run of columns of a row, held in the processor's registers.

A numba loop over the columns of a row stores what it sums after every entry and loads it again for the next, for the sum might
overlap what it reads. `load` gives `width` columns as one value (an LLVM vector, which becomes as many registers as it needs),
so that a sum over entries never leaves them: twice as fast on `spmm`, up to twice on the pairwise loss. Where a pass waits for
memory all the same (`sddmm`, the least-squares gradient) it gains nothing, and loops are kept.

Sums cover rows of any length by blocks of `width(d)` columns, the last of which may lie over the one before it; inner products
need whole rows (`padded`).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.errors import TypingError
from numba.core.imputils import impl_ret_untracked
from numba.extending import intrinsic, register_model
from numba.np import arrayobj
from torch import Tensor
from torch.nn.functional import pad

_SHORTEST = 8  # columns: a register holds so many float32
_BYTES = 256  # eight registers of 32 bytes: as many again hold what is added
_FUSED = ("contract",)  # a product and a sum may be one instruction; their order is as written


def width(columns: int, itemsize: int) -> int:
    """The largest power of two of columns that is no more than there are and fits the registers."""
    return 1 << (max(min(columns, _BYTES // itemsize), 1).bit_length() - 1)


def padded_width(columns: int) -> int:
    """The next power of two: LLVM works on rows of other lengths as slowly as a loop."""
    return max(1 << (columns - 1).bit_length(), _SHORTEST)


def padded(dense: Tensor) -> Tensor:
    """(rows, d) with zero columns up to `padded_width(d)`, so that a whole row can be one value; itself where it has them."""
    short = padded_width(dense.shape[1]) - dense.shape[1]
    return (pad(dense, (0, short)) if short else dense).contiguous()


class Lanes(types.Type):
    """`count` numbers of `dtype`, element by element."""

    def __init__(self, dtype: Any, count: int) -> None:
        self.dtype, self.count = dtype, count
        super().__init__(name=f"Lanes({dtype}, {count})")


class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, ir.VectorType(manager.lookup(kind.dtype).get_value_type(), kind.count))


register_model(Lanes)(_Model)


def _place(context: Any, builder: Any, kind: Any, args: Any, of: Any) -> Any:
    """Pointer to the columns of `array` (2d) from `column` on in `row`, as a vector."""
    array, row, column = args
    made = arrayobj.make_array(kind.args[0])(context, builder, array)
    row, column = (context.cast(builder, value, kind.args[at], types.intp) for at, value in ((1, row), (2, column)))
    shape, strides = (cgutils.unpack_tuple(builder, part, 2) for part in (made.shape, made.strides))
    start = cgutils.get_item_pointer2(context, builder, made.data, shape, strides, "C", [row, column])
    return builder.bitcast(start, context.get_value_type(of).as_pointer())


def _load(typingctx: Any, array: Any, row: Any, column: Any, count: Any) -> Any:
    """`load(array, row, column, count)`: columns `column` to `column + count` of a row; `count` is a constant."""
    if array.layout != "C":
        raise TypingError("A row whose columns lie side by side is needed.")
    lanes = Lanes(array.dtype, count.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(context, builder, signature, args[:3], lanes)
        return builder.load(place, align=array.dtype.bitwidth // 8)

    return lanes(array, row, column, count), generate


def _store(typingctx: Any, array: Any, row: Any, column: Any, value: Any) -> Any:
    """`store(array, row, column, lanes)`: write them there."""
    if array.layout != "C":
        raise TypingError("A row whose columns lie side by side is needed.")
    signature = types.void(array, row, column, value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[3], _place(context, builder, signature, args[:3], value), align=array.dtype.bitwidth // 8)
        return impl_ret_untracked(context, builder, types.void, context.get_dummy_value())

    return signature, generate


def _zeros(typingctx: Any, array: Any, count: Any) -> Any:
    """`zeros(array, count)`: as many zeros, of the array's type."""
    lanes = Lanes(array.dtype, count.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(context.get_value_type(lanes), None)

    return lanes(array, count), generate


def _add(typingctx: Any, first: Any, second: Any) -> Any:
    """`add(a, b)`: element by element."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fadd(*args, flags=_FUSED)

    return first(first, second), generate


def _sub(typingctx: Any, first: Any, second: Any) -> Any:
    """`sub(a, b)`: element by element."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fsub(*args, flags=_FUSED)

    return first(first, second), generate


def _dot(typingctx: Any, first: Any, second: Any) -> Any:
    """`dot(a, b)`: their inner product, a number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector, number = (context.get_value_type(kind) for kind in (first, first.dtype))
        name = f"llvm.vector.reduce.fadd.v{first.count}f{first.dtype.bitwidth}"
        adder = cgutils.get_or_insert_function(builder.module, ir.FunctionType(number, [number, vector]), name)
        products = builder.fmul(*args, flags=_FUSED)
        return builder.call(adder, [ir.Constant(number, 0.0), products], fastmath=("reassoc",))

    return first.dtype(first, second), generate


def _scaled(typingctx: Any, total: Any, factor: Any, part: Any) -> Any:
    """`scaled(total, factor, part)`: total + factor * part, with a number `factor`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = context.get_value_type(part)
        number = context.cast(builder, args[1], factor, part.dtype)
        first = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
        same = ir.Constant(ir.VectorType(ir.IntType(32), part.count), None)
        all_of_it = builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), same)
        return builder.fadd(args[0], builder.fmul(all_of_it, args[2], flags=_FUSED), flags=_FUSED)

    return total(total, factor, part), generate


# Called without the typing context, which numba brings.
load: Any = intrinsic(prefer_literal=True)(_load)
store: Any = intrinsic(_store)
zeros: Any = intrinsic(prefer_literal=True)(_zeros)
add: Any = intrinsic(_add)
sub: Any = intrinsic(_sub)
dot: Any = intrinsic(_dot)
scaled: Any = intrinsic(_scaled)
