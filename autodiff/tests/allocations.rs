//! After a warm-up pass the drivers request no memory from the system: value, gradient, JVP, VJP and Hessian-vector
//! product into buffers of the caller make exactly zero allocations.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use hypertape_autodiff::scalar::{Dual, Scalar, Tangents, Tape};
use hypertape_autodiff::{Array, Fault, Function, Shape, Workspace};

/// The system's allocator, counting the allocations of each thread.
struct Counting;

thread_local! {
    // Constant and without a destructor, so that accessing it allocates nothing.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    COUNT.set(COUNT.get() + 1);
}

// SAFETY: every call is passed on to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller upholds the contract of `System`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract of `System`.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller upholds the contract of `System`.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// `mean_i ln(1 + e^{-y_i x_i . w}) + 0.01 |w|^2` over 200 rows of 50 features.
struct Logistic {
    data: Vec<f64>,
    labels: Vec<f64>,
}

impl Function<f64> for Logistic {
    fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
        let w = x[0];
        let data = w.constant(Shape::new(200, 50), &self.data);
        let labels = w.constant(Shape::column(200), &self.labels);
        data.matmul(w).logistic_loss(labels).mean() + w.dot(w) * 0.01
    }
}

/// A tanh network with eight inputs, eight hidden units and three classes, on sixteen points.
struct Net {
    data: Vec<f64>,
    labels: Vec<u32>,
}

const NET: [Shape; 4] = [Shape::new(8, 8), Shape::new(1, 8), Shape::new(8, 3), Shape::new(1, 3)];

impl Function<f64> for Net {
    fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
        let data = x[0].constant(Shape::new(16, 8), &self.data);
        let hidden = (data.matmul(x[0]) + x[1]).tanh();
        (hidden.matmul(x[2]) + x[3]).cross_entropy(&self.labels).mean()
    }
}

fn wave(n: usize) -> Vec<f64> {
    (0..n).map(|i| (0.7 * i as f64).sin()).collect()
}

type Driver<'d> = &'d mut dyn FnMut(&mut Workspace) -> Result<(), Fault>;

/// Asserts that a driver allocates only in its first pass, each driver in its own workspace.
fn passes<F: Function<f64>>(f: &F, shapes: &[Shape]) {
    let n = shapes.iter().map(|s| s.len()).sum();
    let (x, v) = (wave(n), wave(n + 1)[1..].to_vec());
    let (mut g, mut p) = (vec![0.0; n], vec![0.0; n]);
    let (mut y, mut dy) = ([0.0], [0.0]);
    let drivers: [(&str, Driver); 6] = [
        ("value", &mut |w| w.value(f, shapes, &x, &mut y)),
        ("gradient", &mut |w| w.gradient(f, shapes, &x, &mut g).map(|_| ())),
        ("jvp", &mut |w| w.jvp(f, shapes, &x, &v, &mut [0.0], &mut dy)),
        ("vjp", &mut |w| w.vjp(f, shapes, &x, &mut [0.0], &[2.0], &mut [0.0; 256][..n])),
        ("hvp", &mut |w| w.hvp(f, shapes, &x, &v, &mut [0.0; 256][..n], &mut p).map(|_| ())),
        ("hvps", &mut |w| {
            let (mut g, [mut p, mut q]) = ([0.0; 256], [[0.0; 256]; 2]);
            let out = [&mut p[..n], &mut q[..n]];
            w.hvps(f, shapes, &x, [&v, &x], &mut g[..n], out).map(|_| ())
        }),
    ];
    for (name, driver) in drivers {
        let mut workspace = Workspace::new();
        let counts: Vec<usize> = (0..4)
            .map(|_| {
                let before = COUNT.get();
                driver(&mut workspace).unwrap();
                COUNT.get() - before
            })
            .collect();
        assert!(counts[0] > 0, "the counter works");
        assert_eq!(counts[1..], [0; 3], "{name}");
    }
}

#[test]
fn logistic_regression() {
    let labels = (0..200).map(|i| f64::from(i % 2) * 2.0 - 1.0).collect();
    passes(&Logistic { data: wave(200 * 50), labels }, &[Shape::column(50)]);
}

#[test]
fn tanh_net() {
    let labels = (0..16).map(|i| i % 3).collect();
    passes(&Net { data: wave(16 * 8), labels }, &NET);
}

#[test]
fn the_largest_driver_warms_up_the_others() {
    let f = Net { data: wave(16 * 8), labels: (0..16).map(|i| i % 3).collect() };
    let n = NET.iter().map(|s| s.len()).sum();
    let (x, mut g, mut p) = (wave(n), vec![0.0; n], vec![0.0; n]);
    let mut workspace = Workspace::new();
    workspace.hvp(&f, &NET, &x, &x, &mut g, &mut p).unwrap();
    let before = COUNT.get();
    workspace.value(&f, &NET, &x, &mut [0.0]).unwrap();
    workspace.gradient(&f, &NET, &x, &mut g).unwrap();
    workspace.jvp(&f, &NET, &x, &x, &mut [0.0], &mut [0.0]).unwrap();
    workspace.vjp(&f, &NET, &x, &mut [0.0], &[1.0], &mut g).unwrap();
    workspace.hvp(&f, &NET, &x, &x, &mut g, &mut p).unwrap();
    assert_eq!(COUNT.get(), before);
}

/// A scalar tape allocates in its first pass, and in no later pass of the same length.
#[test]
fn scalar_drivers() {
    fn f<R: Scalar<Plain = f64>>(x: &[R]) -> R {
        let chain = x.windows(2).fold(x[0], |y, x| (y * x[0]).sin() + x[1].exp() * 0.1);
        chain.add_product(R::dot(x, x), R::logsumexp(x))
            + R::fuse([x[0], x[1]], |[a, b]| [a * b])[0]
    }
    let (x, v) = (wave(300), wave(301)[1..].to_vec());
    let (mut g, mut p, mut y) = (vec![0.0; 300], vec![0.0; 300], [0.0; 2]);
    let mut matrix = vec![0.0; 600];
    let (mut tape, mut tangents) = (Tape::new(), Tangents::<f64, 2>::new());
    let (mut second, mut hessian) = (Tape::<Dual<f64, 50>>::new(), vec![0.0; 300 * 300]);
    let mut single = Tape::<Dual<f64>>::new();
    let mut pass = || {
        let before = COUNT.get();
        tape.gradient(|x| f(x), &x, &mut g).unwrap();
        tape.jacobian(|x, y| y.fill(f(x)), &x, &mut y, &mut matrix).unwrap();
        tangents.jacobian(|x, y| y.fill(f(x)), &x, &mut y, &mut matrix).unwrap();
        single.hvp(|x| f(x), &x, &v, &mut g, &mut p).unwrap();
        second.hessian(|x| f(x), &x, &mut g, &mut hessian).unwrap();
        COUNT.get() - before
    };
    let counts: Vec<usize> = (0..4).map(|_| pass()).collect();
    assert!(counts[0] > 0, "the counter works");
    assert_eq!(counts[1..], [0; 3]);
}
