//! The 4-layer network of Likhosherstov et al. 2021 on tasks of Omniglot's size (28 x 28, 5 ways, 1 shot, 64 filters,
//! `f32`): minima of the times of an inner gradient, a Hessian-vector product and hypergradients of 9 steps, in
//! milliseconds, on one thread. `benches/fewshot.py` runs it alternately with JAX.

use std::time::Instant;

use hypertape::problems::generator::Stream;
use hypertape::problems::{Fewshot, FewshotSettings, ImageClasses};
use hypertape::{
    Array, Bilevel, Draw, Estimator, Exact, FirstOrder, FullTape, Function, InnerLoop, Oracle,
    Rows, Schedule, Unary, Workspace, dot, mean_loss,
};

/// The inner loss of the first task. Outer and inner variables have the same shapes.
struct Inner(Fewshot<f32>);

impl Function<f32> for Inner {
    fn eval<'a, A: Array<'a, Elem = f32>>(&'a self, w: &[A]) -> A {
        self.0.inner(w, w, Draw::new(0, 0), Rows::all(0))
    }
}

fn minimum(repeats: usize, mut f: impl FnMut()) -> f64 {
    let times = (0..repeats).map(|_| {
        let clock = Instant::now();
        f();
        clock.elapsed().as_secs_f64() * 1e3
    });
    times.fold(f64::INFINITY, f64::min)
}

fn main() {
    // Ten classes with ink in a tenth of the pixels; the support and query images of a class are equal.
    let class = |c: u64| Stream::new(0, 100 + c).uniforms(784);
    let ink = (0..20).flat_map(|i| class(i / 2)).map(|u| f32::from(u8::from(u < 0.1)));
    let labels: Vec<u32> = (0..20).map(|i| i / 2).collect();
    let images = ImageClasses::new(ink.collect(), [28, 28], &labels).unwrap();
    let settings = FewshotSettings {
        layers: 4,
        filters: 64,
        activation: Unary::Relu,
        batch: 1,
        ..FewshotSettings::default()
    };
    let problem = Fewshot::new([images.clone(), images], settings).unwrap();
    let (start, network) = (problem.start(), Inner(problem.clone()));
    let (x, shapes, mut memory) = (start.values(), start.shapes(), Workspace::new());
    let mut gradient = vec![0.0; x.len()];
    let ms = minimum(20, || {
        memory.gradient(&network, shapes, x, &mut gradient).unwrap();
    });
    println!("{:16} {ms:8.2} ms", "gradient");
    let (direction, mut product) = (vec![0.01; x.len()], vec![0.0; x.len()]);
    let ms = minimum(20, || {
        let (v, out) = ([&direction[..]], [&mut product[..]]);
        memory.hvps(&network, shapes, x, v, &mut gradient, out).unwrap();
    });
    println!("{:16} {ms:8.2} ms", "hvp");
    let (mut oracle, draw) = (Oracle::new(problem).unwrap(), Draw::new(0, 0));
    let (inner, mut w, mut loss) = (InnerLoop::new(9, 0.025).unwrap(), Vec::new(), 0.0);
    let ms = minimum(20, || loss = mean_loss(&mut oracle, &inner, x, draw, &mut w).unwrap());
    println!("{:16} {ms:8.2} ms  loss {loss:.8}", "run");
    let schedule = |text: &str| Exact::new(text.parse::<Schedule>().unwrap());
    for (name, estimator) in [
        ("first-order", &mut FirstOrder as &mut dyn Estimator<f32>),
        ("exact", &mut Exact::default()),
        ("exact, 3 states", &mut schedule("binomial:c=3")),
        ("exact, tapes", &mut schedule("store-all:keep=tapes")),
        ("exact, one tape", &mut FullTape),
    ] {
        let (mut bytes, mut loss) = (0, 0.0);
        let ms = minimum(10, || {
            let made = estimator.estimate(&mut oracle, &inner, x, draw, &mut gradient).unwrap();
            (bytes, loss) = (made.cost.bytes_measured, made.loss);
        });
        let (norm, mib) = (dot(&gradient, &gradient).sqrt(), bytes as f64 / f64::from(1 << 20));
        println!("{name:16} {ms:8.2} ms  {mib:6.2} MiB  loss {loss:.8} norm {norm:.8}");
    }
}
