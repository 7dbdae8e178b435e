"""Vector code: how a Python program reaches the peak of the processor.

A processor core with AVX-512 multiplies and adds 16 floats in one instruction (a fused multiply-add on
a vector register) and can start one or two of them in every clock cycle. A loop reaches that rate only if

1. the data is in vector registers: a load from the cache costs as much as a multiply-add,
2. a multiply-add never waits for the one before, whose result takes four cycles: four to eight
   independent sums must be in flight, better more.

The *register tile* does both. It computes a small block of a matrix product,

    C[i, :] = sum_t sum_k A[t, i, k] B[t, k, :]        i < rows, row of 2 vectors (32 floats),

with all of C in registers: for each k it loads 2 vectors of B, and for each of the 14 rows spreads one
float of A over a vector and does 2 multiply-adds. 28 independent sums; 16 loads for 28 multiply-adds.
Matrix product, convolution, Winograd and attention are all loops round this one tile.

Numba compiles Python loops to LLVM code, but leaves the choice of vectors to LLVM. Here we write the
vector instructions ourselves: an *intrinsic* is a function whose LLVM code is built by Python, and
`Emitter` has the few words that are needed. What is built is compiled once as a C function (`Routine`);
kernels get its address as an integer and `call` it. Addresses are not checked by anybody: the Python
functions above the kernels are the only callers, and tests put guard bands round every buffer.

NB: compiled code frees an array after its last use and does not know what an address is for. Take the address
(``a.ctypes.data``) inside the loop that uses it, where the array is alive, never once before.

The number of lanes and rows follows the processor (`host`).
"""

import threading
from contextlib import contextmanager

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from . import cache
from .host import host

# The words of vector code --------------------------------------------------------------------------


class Emitter:
    """Appends vector instructions to a function that is being built.

    Addresses, counts and strides are integers of the built program; strides count floats. Python
    numbers become constants, and Python loops unroll: they run while the code is built.
    """

    def __init__(self, builder, lanes):
        self.builder, self.lanes = builder, lanes
        self.int, self.float = ir.IntType(64), ir.FloatType()
        self.vector = ir.VectorType(self.float, lanes)

    def integer(self, value):
        return ir.Constant(self.int, value) if isinstance(value, int) else value

    def constant(self, value):
        """A vector with `value` in every lane."""
        return ir.Constant(self.vector, [float(value)] * self.lanes)

    def add(self, a, b):
        return self.builder.add(self.integer(a), self.integer(b))

    def times(self, a, b):
        return self.builder.mul(self.integer(a), self.integer(b))

    def floats(self, address):
        """The integer `address` as a pointer to floats."""
        return self.builder.inttoptr(address, self.float.as_pointer())

    def step(self, pointer, count):
        """The pointer `count` floats further on."""
        return self.builder.gep(pointer, [self.integer(count)])

    def table(self, address, index):
        """Entry `index` of a table of integers."""
        pointer = self.builder.inttoptr(address, self.int.as_pointer())
        return self.builder.load(self.builder.gep(pointer, [index]))

    def load(self, pointer, offset=0):
        """The vector that starts `offset` floats behind `pointer`."""
        place = self.builder.bitcast(self.step(pointer, offset), self.vector.as_pointer())
        return self.builder.load(place, align=4)

    def store(self, vector, pointer, offset=0):
        place = self.builder.bitcast(self.step(pointer, offset), self.vector.as_pointer())
        self.builder.store(vector, place, align=4)

    def load_as(self, kind, address):
        """A vector of another type from the integer `address`, which need not be aligned."""
        return self.builder.load(self.builder.inttoptr(address, kind.as_pointer()), align=1)

    def store_as(self, vector, address):
        """Store a vector of any type at the integer `address`."""
        self.builder.store(vector, self.builder.inttoptr(address, vector.type.as_pointer()), align=1)

    def store_lane(self, vector, pointer, offset):
        """Store the first lane only."""
        value = self.builder.extract_element(vector, ir.IntType(32)(0))
        self.builder.store(value, self.step(pointer, offset))

    def prefetch(self, pointer, offset):
        """Ask for what is `offset` floats behind `pointer`; any address will do."""
        address, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address, flag, flag, flag])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0i8")
        place = self.builder.bitcast(self.step(pointer, offset), address)
        self.builder.call(function, [place, flag(0), flag(3), flag(1)])     # to be read, first-level cache, data

    def spread(self, pointer, offset):
        """One float of memory in every lane."""
        value = self.builder.load(self.step(pointer, offset))
        return self.permute(self.builder.insert_element(self.undefined, value, ir.IntType(32)(0)),
                            [0] * self.lanes)

    def spread_integer(self, value, kind):
        """An integer in every lane of a vector of type `kind`."""
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
        return self.permute(first, [0] * kind.count, first)

    def permute(self, vector, lanes, other=None):
        """Pick lanes; numbers from `self.lanes` on mean those of `other`."""
        order = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))
        return self.builder.shuffle_vector(vector, other or self.undefined, order)

    @property
    def undefined(self):
        return ir.Constant(self.vector, ir.Undefined)

    def multiply_add(self, a, b, c):
        """a b + c in one instruction."""
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fmuladd.v{self.lanes}f32"
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), [a, b, c])

    def variable(self, value):
        """A vector that changes; LLVM keeps it in a register."""
        place = cgutils.alloca_once(self.builder, value.type)
        self.builder.store(value, place)
        return place

    def get(self, variable):
        return self.builder.load(variable)

    def set(self, variable, value):
        self.builder.store(value, variable)

    @contextmanager
    def range(self, count):
        """``with e.range(n) as i``: a loop of the built program. Its body runs at least once, even for n = 0."""
        before, body = self.builder.block, self.builder.append_basic_block("loop")
        self.builder.branch(body)
        self.builder.position_at_end(body)
        i = self.builder.phi(self.int)
        i.add_incoming(self.integer(0), before)
        yield i
        following = self.add(i, 1)
        i.add_incoming(following, self.builder.block)
        done = self.builder.append_basic_block("done")
        again = self.builder.cbranch(self.builder.icmp_signed("<", following, count), body, done)
        again.set_metadata("llvm.loop", self._not_unrolled())
        self.builder.position_at_end(done)

    def _not_unrolled(self):
        """A note to LLVM on a loop: a body done twice at once would not fit into the registers."""
        module = self.builder.module
        note = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
        loop = module.add_metadata([note])
        loop.operands = loop, note              # by definition the first entry is the loop's note itself
        return loop

    @contextmanager
    def when(self, condition):
        """``with e.when(n)``: done if the integer is not 0."""
        with self.builder.if_then(self.builder.icmp_signed("!=", condition, self.integer(0))):
            yield

    def switch(self, value, cases):
        """Build ``cases[i]()`` for the case that `value` is i; for other values nothing is done."""
        done = self.builder.append_basic_block("done")
        choice = self.builder.switch(value, done)
        for i, case in cases.items():
            block = self.builder.append_basic_block(f"case{i}")
            choice.add_case(self.integer(i), block)
            self.builder.position_at_end(block)
            case()
            self.builder.branch(done)
        self.builder.position_at_end(done)


def emitted(num_args):
    """Make an intrinsic of `num_args` integers from ``build(emitter, *args)``."""
    def wrap(build):
        @intrinsic
        def function(typing, args):
            def code(context, builder, signature, values):
                build(Emitter(builder, host().lanes), *cgutils.unpack_tuple(builder, values[0]))
                return context.get_dummy_value()
            return types.void(types.UniTuple(types.intp, num_args)), code
        return function
    return wrap


# Transposing ---------------------------------------------------------------------------------------


@emitted(4)
def transpose_square(e, a, a_step, b, b_step):
    """b[j, i] = a[i, j] for i, j < lanes, in registers.

    Step h exchanges the upper right with the lower left quarter in every square of 2h x 2h; after
    h = lanes / 2, ..., 2, 1 all elements have crossed the diagonal.
    """
    a, b = e.floats(a), e.floats(b)
    rows = [e.load(a, e.times(i, a_step)) for i in range(e.lanes)]
    h = e.lanes // 2
    while h:
        upper = [j + (e.lanes - h if j & h else 0) for j in range(e.lanes)]
        lower = [j + (e.lanes if j & h else h) for j in range(e.lanes)]
        for i in range(e.lanes):
            if not i & h:
                pair = rows[i], rows[i + h]
                rows[i], rows[i + h] = e.permute(pair[0], upper, pair[1]), e.permute(pair[0], lower, pair[1])
        h //= 2
    for i, row in enumerate(rows):
        e.store(row, b, e.times(i, b_step))


@emitted(6)
def copy_vectors(e, rows, vectors, a, a_step, b, b_step):
    """b[i, :] = a[i, :] for rows of whole vectors."""
    a, b = e.floats(a), e.floats(b)
    with e.range(rows) as i, e.range(vectors) as j:
        e.store(e.load(a, e.add(e.times(i, a_step), e.times(j, e.lanes))), b,
                e.add(e.times(i, b_step), e.times(j, e.lanes)))


# The register tile ---------------------------------------------------------------------------------


def build_tile(e, rows, vectors, down, taps, a_taps, b_taps, depth, a, a_step, b, b_step, c, c_step, add):
    """C[i, :] (+)= sum_t sum_k A[t, i, k] B[t, k, :] for i < rows, on rows of `vectors` vectors.

    Tap t of A starts a_taps[t] floats behind a, tap t of B b_taps[t] floats behind b. One of i and k steps
    by 1 in A and the other by a_step: i with `down` (for the gradient of a filter), else k.
    """
    a, b, c = e.floats(a), e.floats(b), e.floats(c)
    places = [(i, e.add(e.times(i, c_step), j * e.lanes)) for i in range(rows) for j in range(vectors)]
    sums = [e.variable(e.constant(0)) for _ in places]
    for _, place in places:
        e.prefetch(c, place)                            # comes from memory while the sums are made
    with e.when(add):
        for total, (_, place) in zip(sums, places, strict=True):
            e.set(total, e.load(c, place))
    with e.range(taps) as t:
        a_tap, b_tap = e.step(a, e.table(a_taps, t)), e.step(b, e.table(b_taps, t))
        starts = [e.step(a_tap, i if down else e.times(i, a_step)) for i in range(rows)]
        with e.range(depth) as k:
            row = e.step(b_tap, e.times(k, b_step))
            of_b = [e.load(row, j * e.lanes) for j in range(vectors)]
            for i in range(rows):
                of_a = e.spread(starts[i], e.times(k, a_step) if down else k)
                for j in range(vectors):
                    total = sums[i * vectors + j]
                    e.set(total, e.multiply_add(of_a, of_b[j], e.get(total)))
    for total, (_, place) in zip(sums, places, strict=True):
        e.store(e.get(total), c, place)


def _tiles(vectors, down):
    """Intrinsic (rows, taps, ..., add): tiles of every height behind one switch."""
    @emitted(12)
    def tiles(e, rows, *args):
        e.switch(rows, {n: lambda n=n: build_tile(e, n, vectors, down, *args) for n in range(1, host().rows + 1)})
    return tiles


_across_2, _across_1, _down_2, _down_1 = (_tiles(v, down) for down in (False, True) for v in (2, 1))


# C functions and their addresses -------------------------------------------------------------------


@intrinsic
def call(typing, address, args):
    """Call the C function at an address with a tuple of integers."""
    def code(context, builder, signature, values):
        values = [values[0], *cgutils.unpack_tuple(builder, values[1])]
        function = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * (len(values) - 1))
        builder.call(builder.inttoptr(values[0], function.as_pointer()), values[1:])
        return context.get_dummy_value()
    return types.void(types.intp, types.UniTuple(types.intp, len(args))), code


class Routine:
    """A function of integers, compiled when its address is first asked for."""

    _lock = threading.Lock()

    def __init__(self, body):
        self.body, self.compiled = body, None

    @property
    def address(self):
        with self._lock:
            self.compiled = self.compiled or self._compile()
        return self.compiled.address

    def _compile(self):
        signature = types.void(*[types.intp] * self.body.__code__.co_argcount)
        if folder := cache.folder():
            try:
                with cache.undisturbed(), cache.numba_cache_dir(numba.config, folder):
                    return numba.cfunc(signature, cache=True)(self.body)
            except Exception as error:          # an unreadable or unwritable cache costs time, no more
                cache.warn_once(f"cache of compiled kernels was unusable ({error!r:.80})")
        return numba.cfunc(signature)(self.body)


@Routine
def tile(rows, taps, a_taps, b_taps, depth, a, a_step, b, b_step, c, c_step, add):
    """A (i, k): steps a_step along i, 1 along k; rows of two vectors."""
    _across_2((rows, taps, a_taps, b_taps, depth, a, a_step, b, b_step, c, c_step, add))


@Routine
def narrow_tile(rows, taps, a_taps, b_taps, depth, a, a_step, b, b_step, c, c_step, add):
    """As `tile`, rows of one vector."""
    _across_1((rows, taps, a_taps, b_taps, depth, a, a_step, b, b_step, c, c_step, add))


@Routine
def down_tile(rows, taps, a_taps, b_taps, depth, a, a_step, b, b_step, c, c_step, add):
    """A (i, k): steps 1 along i, a_step along k; rows of two vectors."""
    _down_2((rows, taps, a_taps, b_taps, depth, a, a_step, b, b_step, c, c_step, add))


@Routine
def narrow_down_tile(rows, taps, a_taps, b_taps, depth, a, a_step, b, b_step, c, c_step, add):
    """As `down_tile`, rows of one vector."""
    _down_1((rows, taps, a_taps, b_taps, depth, a, a_step, b, b_step, c, c_step, add))


@Routine
def copy(rows, vectors, a, a_step, b, b_step):
    """b[i, :] = a[i, :] for rows of whole vectors, at least one of each."""
    copy_vectors((rows, vectors, a, a_step, b, b_step))


@Routine
def transpose(rows, columns, lanes, a, a_step, b, b_step):
    """b[j, i] = a[i, j] for i < rows and j < columns, multiples of the number of lanes."""
    for i in range(0, rows, lanes):
        for j in range(0, columns, lanes):
            transpose_square((a + 4 * (i * a_step + j), a_step, b + 4 * (j * b_step + i), b_step))
