//! `Dual`: forward mode. A value carries `N` tangents, each of which may be absent, which means identically zero.

use crate::arena::Arena;
use crate::array::kernels::elementwise::Binary;
use crate::array::linear::{Bilinear, Linear};
use crate::array::linear_loss::{Asked, Fitted, Parts};
use crate::array::primitives::{Primitives, ProductForm};
use crate::array::rules::dot_over;
use crate::array::{Array, List, operators};
use crate::custom::{Custom, Product};
use crate::fault::Fault;
use crate::functions::rule::Slope;
use crate::functions::rule::Unary;
use crate::shape::{Axis, Shape};
use num_traits::Zero;
use smallvec::SmallVec;

/// A value with `N` tangents. An absent tangent is zero and costs nothing.
///
/// ```
/// use hypertape_autodiff::{Arena, Array, Dual, Shape, Tensor};
/// let arena = Arena::new();
/// let x = Tensor::new(&arena, Shape::SCALAR, &[3.0]);
/// let one = Tensor::new(&arena, Shape::SCALAR, &[1.0]);
/// let y = Dual::new(x, [Some(one)]).square();
/// assert_eq!(y.value().values(), [9.0]);
/// assert_eq!(y.tangents()[0].unwrap().values(), [6.0]);
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Dual<A, const N: usize = 1> {
    value: A,
    tangents: [Option<A>; N],
}

impl<A: Copy, const N: usize> Dual<A, N> {
    /// Creates an array from a value and its tangents, which have the shape of the value.
    pub fn new(value: A, tangents: [Option<A>; N]) -> Self {
        Self { value, tangents }
    }

    /// Returns the value.
    pub fn value(self) -> A {
        self.value
    }

    /// Returns the tangents; `None` stands for zero.
    pub fn tangents(self) -> [Option<A>; N] {
        self.tangents
    }
}

/// Adds two optional arrays; `None` stands for zero.
pub(crate) fn add_present<'a, A: Array<'a>>(a: Option<A>, b: Option<A>) -> Option<A> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

/// [`Primitives::chain_tangent`] from the slope of `f` at `x` with tangent `dx`, for types that have no kernel for it.
pub(crate) fn chain_tangent<'a, A: Array<'a>>(
    c: A,
    f: Unary,
    [x, y]: [A; 2],
    dx: A,
    dc: Option<A>,
) -> Option<A> {
    let [x, y, dx] = [x, y, dx].map(|a| a.within(c.arena()));
    let moving = Dual { value: x, tangents: [Some(dx)] };
    match f.slope(moving, Dual { value: y, tangents: [dx.chain(f, x, y)] }) {
        Slope::Varying(slope) => {
            let curved = slope.tangents[0].map(|d_slope| d_slope * c);
            add_present(curved, dc.map(|dc| slope.value * dc))
        }
        _ => dc?.chain(f, x, y),
    }
}

impl<'a, A: Array<'a>, const N: usize> Array<'a> for Dual<A, N> {
    type Elem = A::Elem;
    const ORDER: u32 = A::ORDER + 1;

    fn shape(self) -> Shape {
        self.value.shape()
    }

    fn values(self) -> &'a [A::Elem] {
        self.value.values()
    }

    fn arena(self) -> &'a Arena {
        self.value.arena()
    }

    fn within(self, arena: &'a Arena) -> Self {
        let near = |a: A| a.within(arena);
        Self { value: near(self.value), tangents: self.tangents.map(|t| t.map(near)) }
    }

    fn constant(self, shape: Shape, data: &'a [A::Elem]) -> Self {
        Self { value: self.value.constant(shape, data), tangents: [None; N] }
    }

    fn unary(self, f: Unary) -> Self {
        let (x, y) = (self.value, self.value.unary(f));
        Self { value: y, tangents: self.tangents.map(|t| t?.chain(f, x, y)) }
    }

    fn binary(self, other: Self, f: Binary) -> Self {
        let (a, b) = (self.value, other.value);
        let value = a.binary(b, f);
        // A slope is computed once, when the first tangent needs it.
        let directions = |tangents: [Option<A>; N], first: bool| {
            if tangents.iter().all(Option::is_none) {
                return [None; N];
            }
            let slope = f.slope(first, a, b, value);
            tangents.map(|t| t.and_then(|t| slope.times(t)))
        };
        let (da, db) = (directions(self.tangents, true), directions(other.tangents, false));
        let tangent =
            |i: usize| add_present(da[i], db[i]).map(|t: A| t.broadcast_to(value.shape()));
        Self { value, tangents: std::array::from_fn(tangent) }
    }
}

impl<'a, A: Array<'a>, const N: usize> Primitives<'a, A::Elem> for Dual<A, N> {
    fn chain(self, f: Unary, x: Self, y: Self) -> Option<Self> {
        let value = self.value.chain(f, x.value, y.value)?;
        let tangent = |i: usize| match (x.tangents[i], self.tangents[i]) {
            (Some(dx), dc) => self.value.chain_tangent(f, [x.value, y.value], dx, dc),
            (None, dc) => dc?.chain(f, x.value, y.value),
        };
        Some(Self { value, tangents: std::array::from_fn(tangent) })
    }

    fn chain_tangent(self, f: Unary, at: [Self; 2], dx: Self, dc: Option<Self>) -> Option<Self> {
        chain_tangent(self, f, at, dx, dc)
    }

    fn products(self, form: ProductForm, others: &[Self], onto: &[Option<Self>], out: &mut [Self]) {
        // The shared value is multiplied with all values and tangents of the others in one pass.
        let (mut planes, mut added) = (List::new(), SmallVec::<[Option<A>; 6]>::new());
        for (i, other) in others.iter().enumerate() {
            let onto = onto.get(i).copied().flatten();
            planes.push(other.value);
            added.push(onto.map(|onto| onto.value));
            for (k, tangent) in other.tangents.into_iter().enumerate() {
                planes.extend(tangent);
                added.extend(tangent.map(|_| onto.and_then(|onto| onto.tangents[k])));
            }
        }
        let mut results = List::from_elem(self.value, planes.len());
        self.value.products(form, &planes, &added, &mut results);
        let mut results = results.into_iter();
        for (i, (out, other)) in out.iter_mut().zip(others).enumerate() {
            // `results` is as long as `planes`, filled in the order in which it is read here.
            let value = results.next().unwrap_or(other.value);
            let mut tangents = other.tangents.map(|t| t.and_then(|_| results.next()));
            let onto = onto.get(i).copied().flatten().map_or([None; N], |onto| onto.tangents);
            for (k, (moved, added)) in tangents.iter_mut().zip(onto).enumerate() {
                let first = moved.or(added);
                *moved = match self.tangents[k] {
                    // To this, each shared tangent adds its product with the value of the other.
                    Some(tangent) => {
                        let mut sum = [tangent];
                        tangent.products(form, &[other.value], &[first], &mut sum);
                        Some(sum[0])
                    }
                    None => moved.or_else(|| added.map(|row| row.broadcast_to(value.shape()))),
                };
            }
            *out = Self { value, tangents };
        }
    }

    fn choose(self, a: Self, b: Self) -> Self {
        let mask = self.value;
        let tangent = |k: usize| match (a.tangents[k], b.tangents[k]) {
            (Some(da), Some(db)) => Some(mask.choose(da, db)),
            (da, db) => {
                let kept = da.map(|da| da.binary(mask, Binary::Keep));
                kept.or(db.map(|db| db.binary(mask, Binary::Drop)))
            }
        };
        Self { value: mask.choose(a.value, b.value), tangents: std::array::from_fn(tangent) }
    }

    fn tangents_only(self) -> Option<Self> {
        let present = self.tangents.into_iter().flatten().next()?;
        // A first tangent that is absent while others are present is zero.
        let zero = || {
            let zeros = present.arena().fill(present.shape().len(), A::Elem::zero());
            present.constant(present.shape(), zeros.map_or(&[], |zeros| zeros))
        };
        let tangents = std::array::from_fn(|i| self.tangents.get(i + 1).copied().flatten());
        Some(Self { value: self.tangents[0].unwrap_or_else(zero), tangents })
    }

    fn product_tangents_only(self, form: ProductForm, other: Self) -> Option<Self> {
        let planes: List<A> = other.tangents.into_iter().flatten().collect();
        let mut moved = List::from_elem(self.value, planes.len());
        self.value.products(form, &planes, &[], &mut moved);
        let mut moved = moved.into_iter();
        let tangents = std::array::from_fn(|i| {
            let first = other.tangents[i].and_then(|_| moved.next());
            let Some(tangent) = self.tangents[i] else { return first };
            let mut sum = [tangent];
            tangent.products(form, &[other.value], &[first], &mut sum);
            Some(sum[0])
        });
        Self { value: other.value, tangents }.tangents_only()
    }

    fn map_linear(self, f: Linear<'a, A::Elem>) -> Self {
        let Linear::Operator(map, transposed) = f else {
            let moved = |a: A| a.map_linear(f);
            return Self {
                value: moved(self.value),
                tangents: self.tangents.map(|t| t.map(moved)),
            };
        };
        let mut planes = List::from_elem(self.value, 1);
        planes.extend(self.tangents.into_iter().flatten());
        A::operate(&mut planes, map, transposed);
        // In the order in which the planes were added.
        let mut planes = planes.into_iter();
        let value = planes.next().unwrap_or(self.value);
        Self { value, tangents: self.tangents.map(|t| t.and_then(|_| planes.next())) }
    }

    fn assemble(self, parts: &[(Self, Linear<'a, A::Elem>)], shape: Shape, apart: bool) -> Self {
        let put = |plane: &dyn Fn(Self) -> Option<A>| {
            let planes = parts.iter().filter_map(|&(part, f)| Some((plane(part)?, f)));
            let count = parts.iter().filter(|(part, _)| plane(*part).is_some()).count();
            let planes = self.arena().collect(count, planes).ok()?;
            (count > 0).then(|| self.value.assemble(planes, shape, apart))
        };
        let value = put(&|part| Some(part.value));
        let tangents = std::array::from_fn(|i| put(&|part| part.tangents[i]));
        Self { value: value.unwrap_or_else(|| self.value.assemble(&[], shape, apart)), tangents }
    }

    fn bilinear(self, other: Self, f: Bilinear) -> Self {
        let tangent = |i: usize| {
            let left = self.tangents[i].map(|da| da.bilinear(other.value, f));
            add_present(left, other.tangents[i].map(|db| self.value.bilinear(db, f)))
        };
        let value = self.value.bilinear(other.value, f);
        Self { value, tangents: std::array::from_fn(tangent) }
    }

    fn softmax_parts(self, axis: Axis) -> (Self, Self) {
        let (sum, shares) = self.value.softmax_parts(axis);
        // d sum_i = share_i . dx_i and d share = share * (dx - d sum)
        let d_sum = self.tangents.map(|t| t.map(|dx| dot_over(shares, dx, axis)));
        let d_share = |i: usize| Some(shares * (self.tangents[i]? - d_sum[i]?));
        let d_shares = std::array::from_fn(d_share);
        (Self { value: sum, tangents: d_sum }, Self { value: shares, tangents: d_shares })
    }

    fn custom_product(self, f: &'a dyn Custom<A::Elem>, product: Product<Self>) -> Self {
        let x = self.value;
        let beyond = |order| {
            x.arena().raise(Fault::Order { operation: f.name(), order });
            None
        };
        let tangent = |k: usize| {
            let (dx, by) = (self.tangents[k], |product| x.custom_product(f, product));
            match product {
                Product::Value => Some(by(Product::Jvp(dx?))),
                Product::Jvp(v) if dx.is_none() => Some(by(Product::Jvp(v.tangents[k]?))),
                Product::Jvp(_) => beyond(2),
                Product::Vjp(c) => {
                    let moved = c.tangents[k].map(|dc| by(Product::Vjp(dc)));
                    add_present(moved, dx.map(|dx| by(Product::Hvp(dx, c.value))))
                }
                Product::Hvp(v, c) => dx.or(v.tangents[k]).or(c.tangents[k]).and(beyond(3)),
            }
        };
        let tangents = std::array::from_fn(tangent);
        Self { value: x.custom_product(f, product.map(|a| a.value)), tangents }
    }

    fn linear_loss_parts(
        self,
        of: Fitted<'a, A::Elem>,
        p: Option<Self>,
        asked: Asked,
    ) -> Parts<Self> {
        let moves = |k: usize| (self.tangents[k], p.and_then(|p| p.tangents[k]));
        let present = |(dw, dp): &(Option<A>, Option<A>)| dw.is_some() || dp.is_some();
        let moving: List<(Option<A>, Option<A>)> = (0..N).map(moves).filter(present).collect();
        let weights = p.map(|p| p.value);
        let Some(parts) = self.value.linear_loss_along(of, weights, &moving, asked) else {
            return of.composed(self, p, asked);
        };
        let mut moved = parts[1..].iter().copied();
        let along: [Option<Parts<A>>; N] =
            std::array::from_fn(|k| if present(&moves(k)) { moved.next() } else { None });
        let with = |value, part: fn(Parts<A>) -> Option<A>| Self {
            value,
            tangents: along.map(|moved| moved.and_then(part)),
        };
        let still = parts[0];
        let gradient = match asked {
            Asked::Value => None,
            Asked::Tangents => with(still.value, |part| part.gradient).tangents_only(),
            Asked::Gradient => still.gradient.map(|value| with(value, |part| part.gradient)),
        };
        Parts {
            value: with(still.value, |part| Some(part.value)),
            gradient,
            losses: with(still.losses, |part| Some(part.losses)),
        }
    }
}

operators!(Dual<A, N>, 'a, A: Array<'a>, const N: usize);
