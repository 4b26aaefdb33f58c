//! Algorithms of one loop: a published table, closed forms, agreement with each other, states, bytes, refusals.

use std::ops::ControlFlow::Continue;

use hypertape_autodiff::{Array, List, Shape};
use hypertape_solver::single_loop::Chance;
use hypertape_solver::{
    Bilevel, Draw, InnerLoop, Joint, Level, Oracle, Params, Rows, Run, RunState, Samples,
    SingleLoop,
};

/// bilevel 4.3: two samples a level, or their means.
struct Two {
    mean: bool,
}

type InnerSample = ([f64; 4], [f64; 4], [f64; 4], [f64; 2]);
const INNER: [InnerSample; 2] = [
    ([2.0, 0.5, 0.5, 1.0], [1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.5], [1.0, -1.0]),
    ([1.0, -0.2, -0.2, 1.5], [0.5, 0.1, 0.1, 2.0], [0.5, 0.2, -0.1, 1.0], [-0.5, 0.3]),
];
type OuterSample = ([f64; 4], [f64; 4], [f64; 4], [f64; 2], [f64; 2]);
const OUTER: [OuterSample; 2] = [
    ([1.0, 0.0, 0.0, 2.0], [0.4, 0.0, 0.0, 0.2], [0.2, 0.0, 0.1, -0.3], [0.5, 0.0], [0.1, -0.1]),
    ([1.5, 0.3, 0.3, 0.5], [0.1, 0.0, 0.0, 0.3], [0.0, 0.1, 0.0, 0.0], [-1.0, 0.2], [0.0, 0.2]),
];

fn form<'a, A: Array<'a, Elem = f64>>(a: A, matrix: &'a [f64; 4], b: A) -> A {
    a.dot(a.constant(Shape::new(2, 2), matrix).matmul(b))
}

fn linear<'a, A: Array<'a, Elem = f64>>(a: A, vector: &'a [f64; 2]) -> A {
    a.dot(a.constant(Shape::column(2), vector))
}

/// The mean over the samples that are seen.
fn seen<'a, A: Array<'a, Elem = f64>>(draw: Draw, sample: impl Fn(usize) -> A) -> A {
    match draw.samples {
        Samples::Batch(i) => sample(usize::try_from(i).unwrap()),
        _ => (sample(0) + sample(1)) * 0.5,
    }
}

impl Bilevel<f64> for Two {
    fn start(&self) -> Params<f64> {
        Params::new().with("x", Shape::column(2), [0.5, 0.25])
    }
    fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].constant(Shape::column(2), &[1.0, -1.0])])
    }
    fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], draw: Draw, _: Rows) -> A {
        let (w, x) = (w[0], x[0]);
        seen(draw, |i| {
            let (a, b, c, l) = &INNER[i];
            form(w, a, w) * 0.5 + form(x, b, x) * 0.5 + form(x, c, w) + linear(w, l)
        })
    }
    fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], draw: Draw, _: Rows) -> A {
        let (w, x) = (w[0], x[0]);
        seen(draw, |i| {
            let (f, h, k, b, e) = &OUTER[i];
            form(w, f, w) * 0.5 + form(x, h, x) * 0.5 + form(x, k, w) + linear(w, b) + linear(x, e)
        })
    }
    fn mini_batches(&self, _: Level) -> usize {
        if self.mean { 1 } else { 2 }
    }
    fn samples(&self, draw: Draw) -> usize {
        if matches!(draw.samples, Samples::Batch(_)) { 1 } else { 2 }
    }
}

/// Mini-batches in turn at each level; coins and directions as they are listed.
#[derive(Debug)]
struct InTurn {
    drawn: [usize; 2],
    coins: std::vec::IntoIter<f64>,
    directions: std::vec::IntoIter<[f64; 2]>,
}

impl InTurn {
    fn new(coins: &[f64]) -> Self {
        let directions = [[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]].repeat(3);
        let coins = coins.to_vec().into_iter();
        Self { drawn: [0; 2], coins, directions: directions.into_iter() }
    }
}

impl Chance for InTurn {
    fn uniform(&mut self, draw: Draw) -> f64 {
        let place = match draw.level {
            Level::Inner => 0,
            Level::Outer => 1,
            _ => return self.coins.next().unwrap_or(0.5),
        };
        self.drawn[place] += 1;
        if self.drawn[place].is_multiple_of(2) { 0.75 } else { 0.25 }
    }
    fn normals(&mut self, _: Draw, count: usize, tell: &mut dyn FnMut(usize, f64)) {
        let direction = self.directions.next().unwrap();
        (0..count).for_each(|place| tell(place, direction[place]));
    }
}

/// `w` and `x` after three iterations of `text`; `w` one later where its steps come after those of `x`.
fn three(text: &str, coins: &[f64]) -> [f64; 4] {
    let algorithm: Box<dyn SingleLoop<f64>> = text.parse().unwrap();
    let mut joint = Joint::from(algorithm).by(InTurn::new(coins));
    let mut oracle = Oracle::new(Two { mean: false }).unwrap();
    let mut state = RunState::new(vec![0.5, 0.25]);
    let go = |joint: &mut Joint<f64>, oracle: &mut _, state: &mut _, iterations| {
        let run = Run::new(InnerLoop::new(1, 1.0).unwrap(), joint.outer(), iterations, 0);
        run.go_on(oracle, joint, state, |_, _| Continue(())).unwrap();
    };
    go(&mut joint, &mut oracle, &mut state, 3);
    let x = state.x.clone();
    if text.starts_with("bsa") || text.starts_with("vrbo") {
        go(&mut joint, &mut oracle, &mut state, 4);
    }
    let w = joint.w();
    [w[0], w[1], x[0], x[1]]
}

#[test]
#[rustfmt::skip]
fn the_published_table() {
    // Terms drawn: 2, 0, 1 of 3.
    let terms = [2.5 / 3.0, 0.5 / 3.0, 1.5 / 3.0];
    let table: [(&str, &[f64], [f64; 4]); 16] = [
        ("soba:step=0.1", &[], [0.522304713380672, -0.723991779179611, 0.439513780261593, 0.161194977817335]),
        ("saba:step=0.1", &[], [0.40735375, -0.59915375, 0.4452255, 0.10881375]),
        ("srba:step=0.1,period=2", &[], [0.4986426875, -0.656952, 0.45904, 0.150731625]),
        ("spaba:step=0.1,restart=0.5", &[0.9, 0.1], [0.4986426875, -0.656952, 0.45904, 0.150731625]),
        ("ma-soba:step=0.1,theta=0.5", &[], [0.52349067466447, -0.724132879995003, 0.421268668788131, 0.163595803496119]),
        ("amigo:step=0.1,inner=2", &[], [0.169654086619129, -0.435280348242878, 0.467885635035812, 0.135998058273398]),
        ("stocbio:step=0.1,inner=2,terms=3", &[], [0.188138840674797, -0.443547411608864, 0.433301390786164, 0.101070140436546]),
        ("bsa:step=0.1,inner=2,terms=3", &terms, [0.308230645381121, -0.525852074135269, 0.46735544155819, 0.141999698821597]),
        ("ttsa:step=0.1,terms=3", &terms, [0.500487619729848, -0.710303528751305, 0.480439725169297, 0.16527988011897]),
        ("fsla:step=0.1", &[], [0.517283647278876, -0.726630207538147, 0.522151084718184, 0.188973796273721]),
        ("mrbo:step=0.1,terms=3", &[], [0.438572769671665, -0.740634917604892, 0.487500533173994, 0.0962988750413141]),
        ("sustain:step=0.1,terms=3", &terms, [0.496186043176024, -0.779010354375745, 0.467346800001602, 0.114432687432744]),
        ("vrbo:step=0.1,inner=2,terms=3,period=2", &[], [0.217271223276034, -0.385439576252086, 0.468625507958103, 0.101948223886469]),
        ("f2sa:step=0.01,inner=2", &[], [0.838366753644177, -0.899074183822624, 0.473654496941321, 0.235982036174818]),
        ("bome:step=0.1,inner=2", &[], [0.75592384375, -0.7298433125, 0.4353375625, 0.16422384375]),
        ("pzobo:step=0.1,inner=2,directions=3", &[], [0.169667083802165, -0.421433033948413, 0.457824317794586, 0.167467532114428]),
    ];
    let mut wrong = Vec::new();
    for (text, coins, expected) in table {
        let found = three(text, coins);
        let gap = found.iter().zip(expected).map(|(f, e)| (f - e).abs()).fold(0.0, f64::max);
        // Half a unit of the fifteenth digit, and some roundings.
        if gap > 1e-15 {
            wrong.push(format!("{text}: {gap:.1e} {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
