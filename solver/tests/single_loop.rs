//! Single-loop algorithms: a published table, closed forms, agreement with each other, states, bytes, refusals.

use std::ops::ControlFlow::Continue;

use hypertape_autodiff::{Array, List, Shape};
use hypertape_solver::single_loop::Chance;
use hypertape_solver::{
    Bilevel, Draw, Estimator, InnerLoop, Joint, Level, Named, Oracle, Params, Registry, Rows, Run,
    RunState, Samples, SingleLoop,
};

/// The problem of bilevel 4.3: two samples per level, or their means.
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

/// The sample that is drawn, or the mean of both.
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

/// Draws the mini-batches of each level in turn, and coins and directions from lists.
#[derive(Debug)]
struct InTurn {
    drawn: [usize; 2],
    coins: std::vec::IntoIter<f64>,
    directions: std::vec::IntoIter<[f64; 2]>,
}

impl InTurn {
    fn new(coins: &[f64]) -> Self {
        let directions = [[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]].repeat(3).into_iter();
        Self { drawn: [0; 2], coins: Vec::from(coins).into_iter(), directions }
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

/// `w` and `x` after three iterations of `text`; `w` after one more if its steps come after those of `x`.
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
    // The numbers of terms drawn are 2, 0 and 1 of 3.
    let terms = [2.5 / 3.0, 0.5 / 3.0, 1.5 / 3.0];
    let table: [(&str, &[f64], [f64; 4]); 21] = [
        ("soba:step=0.1", &[], [0.522_304_713_380_672, -0.723_991_779_179_611, 0.439_513_780_261_593, 0.161_194_977_817_335]),
        ("saba:step=0.1", &[], [0.407_353_75, -0.599_153_75, 0.445_225_5, 0.108_813_75]),
        ("srba:step=0.1,period=2", &[], [0.498_642_687_5, -0.656_952, 0.459_04, 0.150_731_625]),
        ("spaba:step=0.1,restart=0.5", &[0.9, 0.1], [0.498_642_687_5, -0.656_952, 0.459_04, 0.150_731_625]),
        ("ma-soba:step=0.1,theta=0.5", &[], [0.523_490_674_664_47, -0.724_132_879_995_003, 0.421_268_668_788_131, 0.163_595_803_496_119]),
        // There are no published numbers for PnPBO: these come from a second program, written in NumPy from its
        // formulas alone.
        ("pnpbo:step=0.1,theta=0.5,restart=0.5", &[0.9, 0.1], [0.493_228_281_25, -0.669_608_531_25, 0.400_717_25, 0.130_756_937_5]),
        ("pnpbo:step=0.1,theta=0.5,w=sgd,v=storm,x=sgd", &[], [0.409_996_25, -0.642_436_875, 0.407_267_781_259_749_5, 0.134_259_415_288_783_27]),
        ("pnpbo:step=0.1,theta=0.5,w=saga,v=page,x=storm,restart=0.5", &[0.9, 0.1], [0.407_032_717_112_789_04, -0.600_456_860_196_855_3, 0.422_019_400_481_998_5, 0.141_419_448_728_235_72]),
        ("pnpbo:step=0.1,theta=0.5,w=storm,v=saga,x=page,restart=0.5", &[0.9, 0.1], [0.400_615_711_002_905_7, -0.652_248_523_146_634_6, 0.452_022_575_496_038, 0.120_982_435_199_455_15]),
        ("pnpbo:step=0.1,theta=0.5,w=page,v=storm,x=page,restart=0.5", &[0.9, 0.1], [0.488_929_937_5, -0.670_522_812_5, 0.450_823_588_005_137_55, 0.122_662_780_240_374_83]),
        ("amigo:step=0.1,inner=2", &[], [0.169_654_086_619_129, -0.435_280_348_242_878, 0.467_885_635_035_812, 0.135_998_058_273_398]),
        ("stocbio:step=0.1,inner=2,terms=3", &[], [0.188_138_840_674_797, -0.443_547_411_608_864, 0.433_301_390_786_164, 0.101_070_140_436_546]),
        ("bsa:step=0.1,inner=2,terms=3", &terms, [0.308_230_645_381_121, -0.525_852_074_135_269, 0.467_355_441_558_19, 0.141_999_698_821_597]),
        ("ttsa:step=0.1,terms=3", &terms, [0.500_487_619_729_848, -0.710_303_528_751_305, 0.480_439_725_169_297, 0.165_279_880_118_97]),
        ("fsla:step=0.1", &[], [0.517_283_647_278_876, -0.726_630_207_538_147, 0.522_151_084_718_184, 0.188_973_796_273_721]),
        ("mrbo:step=0.1,terms=3", &[], [0.438_572_769_671_665, -0.740_634_917_604_892, 0.487_500_533_173_994, 0.096_298_875_041_314_1]),
        ("sustain:step=0.1,terms=3", &terms, [0.496_186_043_176_024, -0.779_010_354_375_745, 0.467_346_800_001_602, 0.114_432_687_432_744]),
        ("vrbo:step=0.1,inner=2,terms=3,period=2", &[], [0.217_271_223_276_034, -0.385_439_576_252_086, 0.468_625_507_958_103, 0.101_948_223_886_469]),
        ("f2sa:step=0.01,inner=2", &[], [0.838_366_753_644_177, -0.899_074_183_822_624, 0.473_654_496_941_321, 0.235_982_036_174_818]),
        ("bome:step=0.1,inner=2", &[], [0.755_923_843_75, -0.729_843_312_5, 0.435_337_562_5, 0.164_223_843_75]),
        ("pzobo:step=0.1,inner=2,directions=3", &[], [0.169_667_083_802_165, -0.421_433_033_948_413, 0.457_824_317_794_586, 0.167_467_532_114_428]),
    ];
    let mut wrong = Vec::new();
    for (text, coins, expected) in table {
        let found = three(text, coins);
        let gap = found.iter().zip(expected).map(|(f, e)| (f - e).abs()).fold(0.0, f64::max);
        // Half a unit of the fifteenth digit, and a few roundings.
        if gap > 1e-15 {
            wrong.push(format!("{text}: {gap:.1e} {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All algorithms with the listed defaults and a step size.
fn all() -> impl Iterator<Item = Joint<f64>> {
    let names: Vec<_> = Registry::<f64>::default()
        .algorithms
        .lines()
        .iter()
        .map(|line| line.about().name)
        .collect();
    names.into_iter().map(|name| {
        let settings = if name == "pnpbo" { ",x=saga,v=storm,w=page" } else { "" };
        let text = format!("{name}:step=0.05{settings}");
        Joint::from(text.parse::<Box<dyn SingleLoop<f64>>>().unwrap())
    })
}

/// Continues a run from `state` to `until` iterations.
fn go_on(
    joint: &mut Joint<f64>,
    oracle: &mut Oracle<f64>,
    state: &mut RunState<f64>,
    until: usize,
) {
    let run = Run::new(InnerLoop::new(1, 1.0).unwrap(), joint.outer(), until, 5);
    run.go_on(oracle, joint, state, |_, _| Continue(())).unwrap();
}

#[test]
fn differences_of_minima_approach_the_hypergradient() {
    // bilevel 4.3, the mean problem at x0: the hypergradient of the limit, and its approximations by differences of
    // order p.
    let limit = [0.481_539_677_206_095_3, -0.117_588_343_067_780_49];
    let known = [
        [0.469_831_588_309_584, -0.106_440_553_713_503],
        [0.482_043_905_412_726, -0.118_135_322_361_03],
    ];
    let direction = |p: usize, nu: f64| {
        let text = format!("f2sa-p:step=0.5,inner=400,nu={nu:?},p={p}");
        let mut joint = Joint::from(text.parse::<Box<dyn SingleLoop<f64>>>().unwrap());
        let mut oracle = Oracle::new(Two { mean: true }).unwrap();
        let (inner, mut found) = (InnerLoop::new(1, 1.0).unwrap(), [0.0; 2]);
        joint.estimate(&mut oracle, &inner, &[0.5, 0.25], Draw::new(0, 0), &mut found).unwrap();
        found
    };
    let gap = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).abs().max((a[1] - b[1]).abs());
    for (p, known) in [1, 2].into_iter().zip(known) {
        let found = direction(p, 0.05);
        // Roundings of the minima, divided by nu.
        assert!(gap(found, known) < 2e-14, "{p}: {found:?} {known:?}");
        let [once, half] = [0.05, 0.025].map(|nu| gap(direction(p, nu), limit));
        // The error over nu^p is constant up to the next order.
        let ratio = once / half / [2.0, 4.0][p - 1];
        assert!((ratio - 1.0).abs() < 0.02, "{p}: {ratio}");
    }
}

#[test]
fn every_algorithm_reaches_the_solution() {
    // bilevel 4.3: the optimum of the mean problem, to which algorithms on all samples converge.
    let optimum = [-0.535_162_836_868_377_2, 0.333_211_827_405_751_95];
    for text in [
        "soba:step=0.3/k^0,outer=0.3/k^0",
        "ma-soba:step=0.3/k^0,outer=0.3/k^0,theta=0.5",
        "saba:step=0.3",
        "srba:step=0.3",
        "spaba:step=0.3",
        "pnpbo:step=0.3,theta=0.5",
        "pnpbo:step=0.3,theta=0.5,w=sgd,v=storm,x=sgd",
        "amigo:step=0.3",
        "stocbio:step=0.3,terms=100",
        "fsla:step=0.3/k^0,outer=0.3/k^0",
        "mrbo:step=0.3/k^0,outer=0.3/k^0,terms=100,forget=0.5/k^0",
        "vrbo:step=0.3,terms=100",
    ] {
        let mut joint = Joint::from(text.parse::<Box<dyn SingleLoop<f64>>>().unwrap());
        let mut oracle = Oracle::new(Two { mean: true }).unwrap();
        let mut state = RunState::new(vec![0.5, 0.25]);
        go_on(&mut joint, &mut oracle, &mut state, 600);
        for (found, known) in state.x.iter().zip(optimum) {
            assert!((found - known).abs() < 1e-9, "{text}: {:?} {optimum:?}", state.x);
        }
    }
    // On mini-batches, only variance-reduced algorithms converge.
    for (text, arrives) in [
        ("soba:step=0.1/k^0,outer=0.1/k^0", false),
        ("saba:step=0.1", true),
        ("srba:step=0.1,period=4", true),
    ] {
        let mut joint = Joint::from(text.parse::<Box<dyn SingleLoop<f64>>>().unwrap());
        let mut oracle = Oracle::new(Two { mean: false }).unwrap();
        let mut state = RunState::new(vec![0.5, 0.25]);
        go_on(&mut joint, &mut oracle, &mut state, 4000);
        let gap = state.x.iter().zip(optimum).map(|(x, o)| (x - o).abs()).fold(0.0, f64::max);
        assert_eq!(gap < 1e-9, arrives, "{text}: {gap:.1e}");
        assert!(gap < 0.3, "{text}: {gap:.1e}");
    }
}

#[test]
fn a_run_goes_on_bit_for_bit_from_any_iteration() {
    for (name, cut) in all().map(|joint| joint.name()).zip((1..11).cycle()) {
        let joint = || Joint::from(name.parse::<Box<dyn SingleLoop<f64>>>().unwrap());
        let mut oracle = Oracle::new(Two { mean: false }).unwrap();
        let mut once = RunState::new(vec![0.5, 0.25]);
        go_on(&mut joint(), &mut oracle, &mut once, 12);
        let mut twice = RunState::new(vec![0.5, 0.25]);
        go_on(&mut joint(), &mut oracle, &mut twice, cut);
        // A new process makes the algorithm anew.
        go_on(&mut joint(), &mut oracle, &mut twice, 12);
        twice.elapsed = once.elapsed;
        assert_eq!(once, twice, "{name} cut at {cut}");
        let names = once.estimator.names();
        assert_eq!(names[0], "w");
        if name.starts_with("saba") {
            let tables = ["gw", "hv", "bv", "fw", "fx"]
                .map(|name| once.estimator.get(name).map(<[f64]>::len));
            assert_eq!(tables, [Some(4); 5], "two mini-batches of two values each");
        }
    }
}

#[test]
fn bytes_are_those_predicted_and_tables_are_charged() {
    for mut joint in all() {
        let mut oracle = Oracle::new(Two { mean: false }).unwrap();
        let (inner, x, mut d) = (InnerLoop::new(1, 1.0).unwrap(), [0.5, 0.25], [0.0; 2]);
        let predicted = joint.predict(&mut oracle, &inner, &x, Draw::new(0, 0)).unwrap();
        let mut most = 0;
        for t in 0..50 {
            let found = joint.estimate(&mut oracle, &inner, &x, Draw::new(0, t), &mut d).unwrap();
            most = most.max(found.cost.bytes_measured);
        }
        assert_eq!(most, predicted, "{}", joint.name());
        oracle.set_memory(Some(predicted - 1));
        let error = joint.estimate(&mut oracle, &inner, &x, Draw::new(0, 50), &mut d).unwrap_err();
        assert!(error.to_string().contains(" of memory, "), "{error}");
    }
}

#[test]
fn records_are_thinned_and_nothing_is_lost() {
    let run = |record_every| {
        let mut joint = all().next().unwrap();
        let mut oracle = Oracle::new(Two { mean: false }).unwrap();
        let inner = InnerLoop::new(1, 1.0).unwrap();
        let run = Run { record_every, ..Run::new(inner, joint.outer(), 10, 5) };
        let (mut x, mut points) = ([0.5, 0.25], Vec::new());
        let records = run.go(&mut oracle, &mut joint, &mut x, |record, x| {
            points.push((record.iteration, x.to_vec()));
            Continue(())
        });
        (records.unwrap(), x, points)
    };
    let ((each, x, points), (some, same, few)) = (run(1), run(4));
    assert_eq!(x, same);
    assert_eq!(few.iter().map(|(k, _)| *k).collect::<Vec<_>>(), [0, 4, 8]);
    assert!(few.iter().all(|(k, x)| points[*k].1 == *x), "the point that a record is about");
    for (record, k) in some.iter().zip([0, 4, 8]) {
        assert_eq!((record.loss, record.gradient_norm), (each[k].loss, each[k].gradient_norm));
        let cost = each[k..10.min(k + 4)].iter().map(|record| record.cost.samples).sum::<u64>();
        assert_eq!(record.cost.samples, cost);
    }
    // One mini-batch per level, of one sample each.
    assert_eq!(each[0].cost.samples, 2);
    assert_eq!((each[0].cost.hvps, each[0].cost.mixed, each[0].cost.outer_gradients), (1, 1, 1));
}

#[test]
fn what_does_not_fit_is_refused_in_a_line() {
    for (text, why) in [
        ("soba", "soba needs step, for example soba:step=0.1"),
        (
            "soba:step=0.1/k",
            "step of soba: found 0.1/k, expected a positive size, such as 0.1 or 0.1/k^0.5",
        ),
        (
            "soba:step=0.1/k^-1",
            "step of soba: found 0.1/k^-1, expected a positive size, such as 0.1 or 0.1/k^0.5",
        ),
        ("soba:step=0.1,ratio=2,outer=0.1", "soba: expected ratio or outer, not both"),
        (
            "soba:step=0.1,period=2",
            "unknown setting 'period' of soba: expected one of step, linear, ratio, outer",
        ),
        ("sobo:step=0.1", "unknown algorithm 'sobo': did you mean soba?"),
        (
            "spaba:step=0.1,restart=0",
            "restart of spaba: found 0, expected a probability above 0 and at most 1",
        ),
        ("f2sa-p:step=0.1,p=3", "p of f2sa-p: found 3, expected 1 or 2"),
    ] {
        assert_eq!(text.parse::<Box<dyn SingleLoop<f64>>>().unwrap_err().to_string(), why);
    }
    let mut saba = Joint::from("saba:step=0.1".parse::<Box<dyn SingleLoop<f64>>>().unwrap());
    let alien = Params::new().with("w", Shape::column(3), [1.0; 3]);
    saba.set_state(&alien).unwrap();
    let mut oracle = Oracle::new(Two { mean: false }).unwrap();
    let inner = InnerLoop::new(1, 1.0).unwrap();
    let error = saba.estimate(&mut oracle, &inner, &[0.5, 0.25], Draw::new(0, 0), &mut [0.0; 2]);
    let text = error.unwrap_err().to_string();
    assert!(
        text.starts_with("the state of saba:step=0.1: found [w 3x1], expected [w 2x1, v 1x2, "),
        "{text}"
    );
}
