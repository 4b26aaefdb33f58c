//! Files of every kind: their contents, every way in which a file can be malformed, and mutations of valid files.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use hypertape_autodiff::{Arena, Array, Shape, Tensor};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::*;

/// Returns the labels, the values row by row and the number of columns of a table in memory.
fn parse(
    kind: Kind,
    bytes: &[u8],
    label: Option<&str>,
) -> Result<(Vec<f64>, Vec<f64>, u32), Error> {
    let files = Files { label: label.map(str::to_owned), ..Files::default() };
    let Table { features, labels, .. } = table::<f64>(kind, Name("f"), bytes, &files)?;
    let count = labels.len();
    // Names become NaN, to tell them from numbers.
    let labels = labels.iter().map(|label| label.number().unwrap_or(f64::NAN)).collect();
    let samples = match features {
        Features::Dense(values) => Labelled::dense(values, vec![0; count]),
        Features::Sparse(entries) => {
            let base = u32::from(!entries.counts_from_zero());
            Labelled::sparse(entries.matrix(base).unwrap(), vec![0; count])
        }
    }?;
    let arena = Arena::new();
    let width = samples.width();
    let mut values = Vec::new();
    for j in 0..if width > 50 { 0 } else { width } {
        let unit: Vec<f64> = (0..width).map(|k| f64::from(k == j)).collect();
        let unit = Tensor::new(&arena, Shape::column(width), &unit);
        values.extend_from_slice(samples.times(unit, 0..count).values());
    }
    // From column-major to row-major order.
    let cols = values.len() / count;
    let values = (0..values.len()).map(|i| values[i % cols * count + i / cols]).collect();
    Ok((labels, values, width))
}

fn told(kind: Kind, bytes: &[u8], label: Option<&str>) -> String {
    parse(kind, bytes, label).unwrap_err().to_string()
}

const SVM: &[u8] = b"+1 1:0.5 3:-2 # first\n\n# none\n-1 2:1e1\n3\n";

#[test]
fn sparse_rows() {
    let (labels, values, width) = parse(Kind::Svmlight, SVM, None).unwrap();
    assert_eq!((labels, width), (vec![1.0, -1.0, 3.0], 3));
    assert_eq!(values, [0.5, 0.0, -2.0, 0.0, 10.0, 0.0, 0.0, 0.0, 0.0]);
    for (bytes, expected) in [
        (&b""[..], "f: no samples"),
        (b"# nothing\n", "f: no samples"),
        (b"nan 1:2\n", "f:1: found label \"nan\", expected a finite number or a name"),
        (
            b"1,2 1:2\n",
            "f:1: the row has several labels, as it begins with 1,2: one label is needed",
        ),
        (b"1:2 3:1\n", "f:1: the row has no label, and it begins with 1:2: one label is needed"),
        (b"1 1:2\n1 1:inf\n", "f:2: found \"inf\", expected a finite number"),
        (b"1 1:1e999\n", "f:1: found \"1e999\", expected a finite number"),
        (b"1 1\n", "f:1: found \"1\", expected INDEX:VALUE"),
        (b"1 1:\n", "f:1: found \"\", expected a finite number"),
        (b"1 2:1 2:1\n", "f:1: found index \"2\", expected one from 3 to 16777216"),
        (b"1 4294967295:1\n", "f:1: found index \"4294967295\", expected one from 0 to"),
        (b"1 quid:3 1:1\n", "f:1: found index \"quid\", expected one from 0"),
        (b"1 1:1\n\xff\xfe\n", "f:2: this is not text; svmlight, CSV"),
        (b"1\n2\n", "f: no entries"),
    ] {
        let message = told(Kind::Svmlight, bytes, None);
        assert!(message.contains(expected), "{message}");
    }
    let (bytes, none) = (&b"1 1:1e40\n"[..], Files::default());
    let message = table::<f32>(Kind::Svmlight, Name("f"), bytes, &none).unwrap_err();
    assert!(message.to_string().contains("f:1: found 1"), "{message}");
    assert!(message.to_string().contains("expected a finite number in f32"), "{message}");
}

#[test]
fn tables_with_commas() {
    let plain = b"1,2,0\n3,4,1\n";
    assert_eq!(
        parse(Kind::Csv, plain, None).unwrap(),
        (vec![0.0, 1.0], vec![1.0, 2.0, 3.0, 4.0], 2)
    );
    let headed = b"class, a,b\n0, 1.5 ,\"2\"\r\n1,3,4\r\n";
    let known = (vec![0.0, 1.0], vec![1.5, 2.0, 3.0, 4.0], 2);
    assert_eq!(parse(Kind::Csv, headed, Some("class")).unwrap(), known);
    assert_eq!(parse(Kind::Csv, headed, Some("1")).unwrap(), known);
    for (bytes, label, expected) in [
        (&b""[..], None, "f: no samples"),
        (b"a,b\n", None, "f: no samples"),
        (b"1,2\n1,2,3\n", None, "f:2: 3 fields, where line 1 has 2"),
        (b"1,2\n3\n", None, "f:2: 1 fields"),
        (b"1,2\n3,\n", None, "f:2: found label \"\", expected a finite number or a name"),
        (b"1,2\n3,NaN\n", None, "f:2: found label \"NaN\", expected a finite number"),
        (
            b"1,2\nx,2\n",
            None,
            "f:2: column 1 holds \"x\", which is no finite number; if the labels are there, pass --label 1",
        ),
        (b"1,2\n,2\n", None, "f:2: column 1 is empty, where a feature needs a number"),
        (b"1,\"2\n", None, "f:1: a quote that does not end in its line"),
        (b"1\n2\n", None, "f:1: one column, where a label and a feature are needed"),
        (b"a,b\n1,2\n", Some("c"), "f: no column \"c\": the header has a, b; numbers count from 1"),
        (b"1,2\n", Some("3"), "f: no column \"3\": there are 2; numbers count from 1"),
        (b"1,2\n", Some("0"), "f: no column \"0\""),
        (b"1,2\n3,\xff\n", None, "f:2: this is not text; svmlight, CSV"),
    ] {
        let message = told(Kind::Csv, bytes, label);
        assert!(message.contains(expected), "{message}");
    }
}

/// An IDX file of bytes.
fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_be_bytes()).collect();
    let dimensions = u8::try_from(sizes.len() / 4).unwrap();
    [&[0, 0, 8, dimensions][..], &sizes, values].concat()
}

#[test]
fn arrays_of_the_mnist_kind() {
    let read = |bytes: &[u8]| rows::<f64>(Kind::Idx, Name("f"), bytes, false);
    let bytes = idx(&[2, 1, 3], &[0, 51, 255, 1, 2, 3]);
    let array = read(&bytes).unwrap();
    assert_eq!((array.count, array.cols), (2, 3));
    assert_eq!(array.values, [0.0, 51.0, 255.0, 1.0, 2.0, 3.0]);
    let scaled = rows::<f32>(Kind::Idx, Name("f"), &bytes[..], true).unwrap();
    assert_eq!(scaled.values[..3], [0.0, 0.2, 1.0]);
    for (kind, bytes) in [
        (9, vec![0xFE]),
        (11, (-2_i16).to_be_bytes().to_vec()),
        (12, (-2_i32).to_be_bytes().to_vec()),
        (13, (-2_f32).to_be_bytes().to_vec()),
        (14, (-2_f64).to_be_bytes().to_vec()),
    ] {
        let file = [&[0, 0, kind, 1, 0, 0, 0, 1][..], &bytes].concat();
        assert_eq!(read(&file).unwrap().values, [-2.0]);
    }
    let mut nan = vec![0, 0, 13, 1, 0, 0, 0, 1];
    nan.extend(f32::NAN.to_be_bytes());
    let huge = u32::MAX;
    for (bytes, expected) in [
        (vec![], "f byte 0: found the end, expected a header"),
        (vec![0, 0, 8], "f byte 0: found the end, expected a header"),
        (vec![1, 0, 8, 1], "f byte 0: found [1, 0, 8, 1], expected 0, 0, a type"),
        (vec![0, 0, 8, 0], "f byte 0: found [0, 0, 8, 0]"),
        (vec![0, 0, 10, 1], "f byte 2: found type 10, expected 8, 9, 11"),
        (
            vec![0, 0, 8, 2, 0, 0, 0, 1, 0],
            "f byte 8: found the end, expected the size of a dimension",
        ),
        (idx(&[2, 2], &[1, 2, 3]), "f byte 15: found the end after 3 values, expected 4"),
        (idx(&[2], &[1, 2, 3]), "f byte 10: found more bytes, expected the end after 2 values"),
        (idx(&[huge, huge, huge], &[]), "f byte 4: found dimensions [4294967295, "),
        (idx(&[1 << 31], &[1]), "f byte 9: found the end after 1 values"),
        (idx(&[(1 << 31) + 1], &[1]), "expected 2147483648 values at most"),
        (nan, "f byte 8: found NaN, expected a finite number"),
    ] {
        let message = read(&bytes).err().unwrap().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

/// A temporary folder, removed at the end of a test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("hypertape-data-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A test that failed may have left any files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn files_become_sets() {
    let dir = Scratch::new("sets");
    // Twelve samples in two classes, 3 and 7; the value is the number of the sample.
    let pixels: Vec<u8> = (0..12).collect();
    let classes: Vec<u8> = (0..12).map(|i| if i % 2 == 0 { 7 } else { 3 }).collect();
    let images = dir.put("images-ubyte.gz", &packed(&idx(&[12, 1, 1], &pixels)));
    let labels = dir.put("labels.idx", &idx(&[12], &classes));
    let csv = dir.put("test.csv", b"0.5,3\n0.25,7\n");
    let files = Files { train: format!("{images},{labels}"), ..Files::default() };
    let sets = load::<f64>(&files, 1).unwrap();
    assert_eq!(sets.parts.each_ref().map(Labelled::len), [4, 4, 4]);
    assert_eq!(sets.parts[0].labels().iter().sum::<u32>(), 2);
    let with = Files { test: Some(csv.clone()), split: Some([6, 4, 2]), ..files.clone() };
    let sets = load::<f64>(&with, 1).unwrap();
    assert_eq!(sets.parts.each_ref().map(Labelled::len), [6, 4, 2]);
    let arena = Arena::new();
    let one = Tensor::new(&arena, Shape::SCALAR, &[1.0]);
    // Every sample of the training file occurs once, scaled. Even samples are of the second class.
    let mut seen: Vec<usize> = Vec::new();
    for (part, size) in [(&sets.parts[0], 6), (&sets.parts[1], 4)] {
        for (value, &label) in part.times(one, 0..size).values().iter().zip(part.labels()) {
            let i = (0..12).find(|&i| (f64::from(i) / 255.0 - value).abs() < 1e-15).unwrap();
            assert_eq!(label, 1 - i % 2);
            seen.push(i as usize);
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 10);

    let other = dir.put("other.csv", b"0.5,3\n0.25,4\n");
    let ragged = dir.put("wide.csv", b"0.5,1,3\n0.25,1,7\n");
    let short = dir.put("short.idx", &idx(&[11], &classes[..11]));
    let cut = packed(&idx(&[12], &classes));
    let cut = dir.put("cut.idx.gz", &cut[..cut.len() - 9]);
    let text = dir.put("notes.txt", b"");
    let one_class = dir.put("one.svm", b"1 1:1\n1 1:2\n");
    let regression: Vec<String> = (0..5000).map(|i| format!("{i},{i}.5")).collect();
    let twice = regression.join("\n") + "\n" + &regression[0];
    let twice = dir.put("twice.csv", twice.as_bytes());
    let regression = dir.put("reals.csv", regression.join("\n").as_bytes());
    let train = |train: String| Files { train, ..Files::default() };
    let cases = [
        (
            Files { valid: Some(other), ..files.clone() },
            "label 4 of sample 2, expected one of the 2 of training, from 3 to 7",
        ),
        (Files { test: Some(ragged), ..files.clone() }, "found 2 values per sample"),
        (Files { split: Some([6, 6, 1]), ..files.clone() }, "need 13 samples, there are 12"),
        (Files { split: Some([6, 6, 0]), ..files.clone() }, "too few samples for one in each part"),
        (Files { split: Some([0, 0, 0]), ..files.clone() }, "--split leaves no samples"),
        (Files { split: Some([5, 5, 3]), test: Some(csv), ..files }, "need 3 samples, there are 2"),
        (train(format!("{images},{short}")), "short.idx: 11 labels for 12 samples"),
        (train(format!("{images},{cut}")), "cut.idx.gz"),
        (train(images.clone()), "images-ubyte.gz contains no labels: give a file of them too"),
        (train(format!("{one_class},{labels}")), "one.svm contains the labels already: leave out "),
        (train(format!("{images},{one_class}")), "one.svm is a file of samples, not an array"),
        (train(text), "notes.txt: no samples"),
        (train(one_class), "one.svm: every label is "),
        (train(twice), "twice.csv: 5000 different labels, at most 4096 are classes"),
        (train(regression), "each of the 5000 samples has a label of its own, from 0.5 to 4999.5"),
        (train("/nowhere/a.csv".into()), "cannot read /nowhere/a.csv: "),
    ];
    for (files, expected) in cases {
        let message = load::<f64>(&files, 1).unwrap_err().to_string();
        assert!(message.contains(expected), "no {expected:?} in {message:?}");
        assert!(!message.contains('\n'), "{message:?}");
    }
}

#[test]
fn each_sample_has_one_label() {
    let rows = |[count, cols]: [usize; 2]| Rows { count, cols, values: vec![0.0; count * cols] };
    let pair = |features, labels| {
        arrays::pair::<f64>(rows(features), Name("f"), arrays::numbers(rows(labels)))
    };
    for (features, labels, expected) in [
        ([0, 2], [0, 1], "f: no samples"),
        ([80, 2], [50, 1], "f: 50 labels for 80 samples"),
        ([1, 2], [0, 1], "f: 0 labels for 1 sample"),
        ([80, 2], [1, 80], "f: an array of 1x80 labels, where each sample has one"),
    ] {
        assert_eq!(pair(features, labels).unwrap_err().to_string(), expected);
    }
    assert_eq!(pair([3, 2], [3, 1]).unwrap().labels.len(), 3);
}

#[test]
fn what_is_unpacked_has_a_limit() {
    let packed = packed(&[7; 100]);
    let unpack = |left| {
        let mut unpacked = Vec::new();
        let mut reader =
            source::Unpacked { inner: flate2::read::GzDecoder::new(&packed[..]), left };
        reader.read_to_end(&mut unpacked).map(|_| unpacked.len()).map_err(|e| e.to_string())
    };
    assert_eq!(unpack(100), Ok(100));
    let why = "it unpacks to more than 2.0 GiB; an unpacked file may be larger";
    assert_eq!(unpack(99), Err(why.to_owned()));
}

#[test]
fn mnist_is_read_where_it_is() {
    let shared =
        std::env::var_os("HYPERTAPE_SHARED").map_or_else(|| "../../shared".into(), PathBuf::from);
    let file = |name: &str| shared.join("data/mnist").join(name).to_str().unwrap().to_owned();
    let test =
        format!("{},{}", file("t10k-images-idx3-ubyte.gz"), file("t10k-labels-idx1-ubyte.gz"));
    if !std::path::Path::new(&file("t10k-images-idx3-ubyte.gz")).exists() {
        println!("skipped: no {}", file("t10k-images-idx3-ubyte.gz"));
        return;
    }
    let table = read::<f32>(&test, &Files::default()).unwrap();
    // Labels of the first ten digits, and the number of fives.
    let labels: Vec<_> = table.labels.iter().filter_map(Label::number).collect();
    assert_eq!(labels[..10], [7.0, 2.0, 1.0, 0.0, 4.0, 1.0, 4.0, 9.0, 5.0, 9.0]);
    assert_eq!(labels.iter().filter(|&&label| label == 5.0).count(), 892);
    let Features::Dense(values) = table.features else { panic!("sparse") };
    assert_eq!(values.len(), 7_840_000);
}

/// A name, a valid file of the kind and the function that reads it.
type Target = (&'static str, Vec<u8>, fn(&[u8]) -> Result<usize, Error>);

fn targets() -> Vec<Target> {
    fn rows_of(kind: Kind, bytes: &[u8]) -> Result<usize, Error> {
        let array = rows::<f64>(kind, Name("f"), bytes, true)?;
        assert_eq!(array.values.len(), array.count * array.cols);
        assert!(array.values.iter().all(|v| v.is_finite()));
        Ok(array.count)
    }
    fn table_of(kind: Kind, bytes: &[u8]) -> Result<usize, Error> {
        let (labels, values, _) = parse(kind, bytes, None)?;
        assert!(values.iter().all(|v| v.is_finite()) && !labels.is_empty());
        Ok(labels.len())
    }
    let header = b"\x93NUMPY\x01\x00\x3f\x00{'descr': '<f8', 'fortran_order': True, 'shape': (3, 2), }    \n";
    let values = [1.0_f64, -2.0, 0.5, 1e9, 3.0, 4.0].map(f64::to_le_bytes).concat();
    vec![
        ("svmlight", SVM.to_vec(), |b| table_of(Kind::Svmlight, b)),
        ("csv", b"a,b,c\n1,2.5,0\n-3e1,4,1\n5,\"6\",0\n".to_vec(), |b| table_of(Kind::Csv, b)),
        ("idx", idx(&[3, 2], &[1, 2, 3, 4, 5, 6]), |b| rows_of(Kind::Idx, b)),
        ("npy", [&header[..], &values].concat(), |b| rows_of(Kind::Npy, b)),
    ]
}

/// Makes a few random changes: flips, inserts, removes or repeats bytes, cuts off the end, or inserts pieces that
/// matter to the loaders.
fn mutate(random: &mut Pcg64, bytes: &mut Vec<u8>) {
    const PIECES: [&[u8]; 14] = [
        b"nan",
        b"-inf",
        b"1e999",
        b"4294967295",
        b"-1",
        b":",
        b",",
        b"\n",
        b"\"",
        b"(",
        b"'",
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"#",
    ];
    for _ in 0..random.random_range(1..5) {
        let at = random.random_range(0..=bytes.len());
        let end = (at + random.random_range(0..9)).min(bytes.len());
        match random.random_range(0..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes.insert(at, random.random()),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => bytes.truncate(at),
            _ => {
                let piece = PIECES[random.random_range(0..PIECES.len())];
                bytes.splice(at..end, piece.iter().copied());
            }
        }
    }
}

/// Runs 3000 mutations per loader, or as many as there is time for in `HYPERTAPE_FUZZ_SECONDS`.
#[test]
fn mutated_files_are_read_or_refused() {
    let seconds = std::env::var("HYPERTAPE_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok());
    for (name, valid, read) in targets() {
        assert_eq!(read(&valid).unwrap(), 3, "{name}");
        let (clock, mut random) = (Instant::now(), Pcg64::seed_from_u64(9));
        let (mut cases, mut fine) = (0, 0);
        let mut pool = vec![valid];
        while seconds.map_or(cases < 3000, |s| clock.elapsed() < Duration::from_secs(s)) {
            let mut bytes = pool[random.random_range(0..pool.len())].clone();
            mutate(&mut random, &mut bytes);
            cases += 1;
            match read(&bytes) {
                Ok(_) => {
                    fine += 1;
                    // A file that can still be read becomes a base for further mutations.
                    if bytes.len() < 4096 {
                        let place = random.random_range(0..100);
                        if place < pool.len() { pool[place] = bytes } else { pool.push(bytes) }
                    }
                }
                Err(e) => assert!(e.to_string().starts_with('f'), "{e}"),
            }
        }
        println!("{name}: {cases} files, {fine} of them read");
        assert!(fine > 0 && fine < cases);
    }
}
