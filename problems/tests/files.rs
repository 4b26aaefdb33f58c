//! Files as other programs write them: their contents, and the notes about what had to be decided.
#![cfg(feature = "data")]

use std::fs;
use std::io::Write;
use std::path::Path;

use hypertape_problems::data::{Files, load, npy};
use hypertape_problems::{ImageClasses, Labelled, Sets, Targets, catalogue};
use hypertape_solver::{Draw, Estimator, Exact, InnerLoop, Ista, solve};
use tempfile::{TempDir, tempdir};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn put(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

/// The same file for training, validation and test samples.
fn whole(name: &str) -> Files {
    let [valid, test] = [(); 2].map(|()| Some(name.to_owned()));
    Files { train: name.to_owned(), valid, test, ..Files::default() }
}

/// The rows of the training samples with their classes, in order, and the distinct notes without the folder.
fn read(files: &Files) -> (Vec<(u32, Vec<f64>)>, Vec<String>) {
    let sets: Sets<f64> = load(files, 0).unwrap_or_else(|e| panic!("{e}"));
    let folder = Path::new(&files.train).parent().unwrap().display().to_string() + "/";
    let mut notes: Vec<_> = sets.notes().iter().map(|note| note.replace(&folder, "")).collect();
    notes.sort_unstable();
    notes.dedup();
    let ([train, ..], _): ([Labelled<f64>; 3], u32) = sets.into_classes().unwrap();
    let rows = (0..train.len()).map(|i| (train.labels()[i], train.row(i)));
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by(|a, b| a.partial_cmp(b).unwrap());
    (rows, notes)
}

/// The contents of most of the files below.
fn known() -> Vec<(u32, Vec<f64>)> {
    vec![(0, vec![1.5, 0.0, -2.0]), (0, vec![2.5, 1.0, 0.0]), (1, vec![0.25, 0.0, 3.0])]
}

#[track_caller]
fn holds(folder: &TempDir, name: &str, text: &str, notes: &[&str]) {
    let files = whole(&put(folder, name, text));
    let (rows, told) = read(&files);
    assert_eq!(rows, known(), "{name}: {text:?}");
    assert_eq!(told, notes, "{name}: {text:?}");
}

#[test]
fn svmlight_of_other_programs() {
    let folder = tempdir().unwrap();
    holds(&folder, "a.svm", "-1 1:1.5 3:-2\n-1 1:2.5 2:1\n1 1:0.25 3:3\n", &[]);
    // As scikit-learn's `dump_svmlight_file` writes by default, with extensions in upper and lower case, and after a
    // byte order mark.
    let zero = "0 0:1.5 2:-2\n0 0:2.5 1:1\n1 0:0.25 2:3\n";
    for name in ["a.svm", "B.SVM", "rows.txt", "rows", "rows.libsvm"] {
        holds(&folder, name, zero, &[&format!("{name}: indices count from 0")]);
        let marked = format!("\u{feff}{zero}");
        holds(&folder, name, &marked, &[&format!("{name}: indices count from 0")]);
    }
    let queries = "0 qid:1 1:1.5 3:-2\n0 qid:1 1:2.5 2:1 # two\n1 qid:2 1:0.25 3:3\n";
    holds(&folder, "q.svm", queries, &["q.svm: queries (qid) are left out"]);
    // One file without an index of 0 together with one that has it: the first column of both is 0.
    let train = put(&folder, "t.svm", zero);
    let valid = put(&folder, "v.svm", "0 1:4\n1 2:5\n");
    let sets = load::<f64>(&Files { valid: Some(valid), ..whole(&train) }, 0).unwrap();
    let ([_, valid, _], _) = sets.into_classes().unwrap();
    let mut rows = [valid.row(0), valid.row(1)];
    rows.sort_by(|a, b| a.partial_cmp(b).unwrap());
    assert_eq!(rows, [vec![0.0, 0.0, 5.0], vec![0.0, 4.0, 0.0]]);
    // If no index is 0, only the user can know.
    let asked = put(&folder, "s.svm", "0 1:1 2:2\n1 1:3 2:4\n");
    let (rows, notes) = read(&Files { zero_based: true, ..whole(&asked) });
    assert_eq!((rows[0].1.clone(), notes.len()), (vec![0.0, 1.0, 2.0], 0));
}

#[test]
fn tables_of_other_programs() {
    let folder = tempdir().unwrap();
    let name = "a.csv";
    for separator in [",", ";", "\t", " ", "   "] {
        let rows = "1.5,0,-2,0\n2.5,1,0,0\n0.25,0,3,1\n".replace(',', separator);
        holds(&folder, name, &rows, &[]);
        let head = "x1,x2,x3,y\n".replace(',', separator);
        holds(&folder, name, &format!("# made\n\n{head}{rows}"), &[]);
        holds(&folder, "A.TXT", &format!("\u{feff}{head}{rows}").replace('\n', "\r\n"), &[]);
    }
    // As pandas writes a frame without column names: the first line is reported as a header.
    let rows = "1.5,0,-2,0\n2.5,1,0,0\n0.25,0,3,1\n";
    let note = "a.csv: the first line, 0,1,2,3, is taken for a header, as it counts the columns";
    holds(&folder, name, &format!("0,1,2,3\n{rows}"), &[note]);
    let note = "a.csv: the first line, 0,1,2,target, is taken for a header, as it has a name where numbers follow";
    holds(&folder, name, &format!("0,1,2,target\n{rows}"), &[note]);
    // Whole numbers in three columns may be a sample.
    let (few, notes) = read(&whole(&put(&folder, name, "0,1,2\n1,1,0\n3,4,2\n")));
    assert_eq!((few.len(), notes.len()), (3, 0));
    // The files that come with scikit-learn begin with sizes and names.
    let note = "a.csv: the first line, 3,3,no,yes, is taken for a header, as it counts samples and features and names classes";
    holds(&folder, name, &format!("3,3,no,yes\n{rows}"), &[note]);
    let note = "a.csv: the first line, 3,3,setosa,versicolor,virginica, is taken for a header, as it counts samples and features \
                and names classes";
    holds(&folder, name, &format!("3,3,setosa,versicolor,virginica\n{rows}"), &[note]);
    // Names, and truth values both as features and as labels.
    let named = rows.replace(",0\n", ",setosa\n").replace(",1\n", ",virginica\n");
    let note = "a.csv: 2 classes: setosa, virginica";
    holds(&folder, name, &named, &[note]);
    holds(&folder, name, &format!("a,b,c,species\n{named}"), &[note]);
    let truth = "1.5,False,-2,False\n2.5,True,0,False\n0.25,False,3,True\n";
    holds(&folder, name, truth, &["a.csv: 2 classes: False, True"]);
    let quoted = "\"a, b\",c,d,\"say \"\"x\"\"\"\n\"1.5\",0,-2,0\n2.5,1,0,\"0\"\n0.25,0,3,1\n";
    holds(&folder, name, quoted, &[]);
}

#[test]
fn another_delimiter_is_suggested() {
    let folder = tempdir().unwrap();
    let name = put(&folder, "a.csv", "1;2;0\n3;4;1\n");
    let why = |name: &str| {
        let files = Files { delimiter: Some(','), ..whole(name) };
        load::<f64>(&files, 0).unwrap_err().to_string()
    };
    let expected =
        "a.csv:2: one column, where a label and a feature are needed; is the delimiter ;?";
    assert!(why(&name).ends_with(expected), "{}", why(&name));
    let tabs = put(&folder, "b.csv", "1,5\t2\t0\n3\t4\t1\n");
    assert!(
        why(&tabs).ends_with("b.csv:2: 1 fields, where line 1 has 2; is the delimiter tab?"),
        "{}",
        why(&tabs)
    );
}

/// An array as numpy writes it.
fn array(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = u16::try_from(text.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), data].concat()
}

#[test]
fn arrays_of_other_types_and_shapes() {
    let folder = tempdir().unwrap();
    let pixels = put(&folder, "pixels", array("|u1", "(3, 1, 2)", &[0, 1, 2, 3, 4, 255]));
    let labels = put(&folder, "labels", array("|b1", "(3,)", &[0, 1, 0]));
    let pair = format!("{pixels},{labels}");
    let expected = vec![(0, vec![0.0, 1.0]), (0, vec![4.0, 255.0]), (1, vec![2.0, 3.0])];
    assert_eq!(read(&whole(&pair)).0, expected);
    // A comma belongs to the name if there is a file of that name.
    let odd = put(&folder, "pixels,of two", fs::read(&pixels).unwrap());
    assert_eq!(read(&whole(&format!("{odd},{labels}"))).0, expected);
    let csv = put(&folder, "one,two.csv", "1.5,0\n2.5,1\n3.5,0\n");
    assert_eq!(read(&whole(&csv)).0.len(), 3);
    // An archive of both arrays.
    let both = folder.path().join("both.npz");
    let mut archive = ZipWriter::new(fs::File::create(&both).unwrap());
    for (name, from) in [("X.npy", &pixels), ("y.npy", &labels)] {
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(&fs::read(from).unwrap()).unwrap();
    }
    archive.finish().unwrap();
    let both = both.display().to_string();
    assert_eq!(read(&whole(&both)).0, expected);
    // Labels that are texts, beside the same features: names in either byte order, and numbers.
    let texts = |descr: &str, texts: [&str; 3], bytes: fn(u32) -> [u8; 4]| {
        let padded =
            texts.iter().flat_map(|text| text.chars().map(u32::from).chain([0; 3]).take(3));
        array(descr, "(3,)", &padded.flat_map(bytes).collect::<Vec<_>>())
    };
    for (descr, words, bytes) in [
        ("<U3", ["ant", "b\u{fc}", "ant"], u32::to_le_bytes as fn(u32) -> [u8; 4]),
        (">U3", ["ant", "b\u{fc}", "ant"], u32::to_be_bytes),
        ("<U3", ["2", "10", "2.0"], u32::to_le_bytes),
    ] {
        let labels = put(&folder, "labels.npy", texts(descr, words, bytes));
        let (rows, notes) = read(&whole(&format!("{pixels},{labels}")));
        assert_eq!(rows, expected, "{words:?}");
        let named = notes.iter().any(|note| note == "labels.npy: 2 classes: ant, b\u{fc}");
        assert_eq!(named, words[0] == "ant", "{notes:?}");
    }
    let archived = |labels: Vec<u8>| {
        let path = folder.path().join("texts.npz");
        let mut archive = ZipWriter::new(fs::File::create(&path).unwrap());
        for (name, bytes) in [("X.npy", fs::read(&pixels).unwrap()), ("y.npy", labels)] {
            archive.start_file(name, SimpleFileOptions::default()).unwrap();
            archive.write_all(&bytes).unwrap();
        }
        archive.finish().unwrap();
        whole(&path.display().to_string())
    };
    let names = ["ant", "b", "ant"];
    assert_eq!(read(&archived(texts("<U3", names, u32::to_le_bytes))).0, expected);
    for (labels, expected) in [
        (
            texts("<U4", names, u32::to_le_bytes),
            "texts.npz: 36 bytes, where the header announces 3 texts of 4 characters",
        ),
        (
            texts("<U3", ["ant", "", "b"], u32::to_le_bytes),
            "texts.npz value 1: found label \"\", expected a finite number or a name",
        ),
        (array("<U1", "(3,)", &[255; 12]), "texts.npz: texts that are no Unicode"),
        (
            array("<U1", "(1, 3)", &[0; 12]),
            "texts.npz: texts of shape (1, 3), where each sample has one",
        ),
        (
            array("|O", "(3,)", &[0; 12]),
            "texts.npz: dtype '|O' is not supported; labels are numbers or texts of dtype U, which y.astype(str) makes of others",
        ),
    ] {
        let why = load::<f64>(&archived(labels), 0).unwrap_err().to_string();
        assert!(why.ends_with(expected), "{why}");
    }
    let mut only = ZipWriter::new(fs::File::create(&both).unwrap());
    only.start_file("data.npy", SimpleFileOptions::default()).unwrap();
    npy::write(&mut only, [1, 1], [0.5]).unwrap();
    only.finish().unwrap();
    let why = load::<f64>(&whole(&both), 0).unwrap_err().to_string();
    assert!(why.ends_with("both.npz: no array X, it has data"), "{why}");
}

/// Tasks of two classes from a folder of six classes, and from one of three, which are too few.
#[test]
fn few_shot_tasks_of_a_folder() {
    let folder = tempdir().unwrap();
    let entry = catalogue().into_iter().find(|entry| entry.name == "digits-fewshot").unwrap();
    let entry = entry.with([("ways", "2")]).unwrap();
    let made = |classes: u8| {
        for class in 0..classes {
            let of = folder.path().join(format!("images/{class}"));
            fs::create_dir_all(&of).unwrap();
            for i in 0..2 {
                let file = fs::File::create(of.join(format!("{i}.PNG"))).unwrap();
                let mut encoder = png::Encoder::new(file, 8, 8);
                encoder.set_color(png::ColorType::Grayscale);
                let pixels: Vec<u8> = (0..64).map(|p| p / 2 * (class + 1) / 2 + i).collect();
                encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
            }
        }
        let images = ImageClasses::<f64>::from_files(&[folder.path().join("images")], 8).unwrap();
        entry.open_on_images(images, None)
    };
    let why = made(3).unwrap_err().to_string();
    assert!(why.starts_with("3 classes of images are too few: a task takes 2"), "{why}");
    // 9 x 12 and 108 x 12 kernels, scales and shifts of both layers, 2 x 2 x 12 pixels to 2 classes.
    assert_eq!(made(6).unwrap().outer_dim(), 108 + 1296 + 2 * 24 + 48 * 2 + 2);
    let samples = catalogue().into_iter().find(|entry| entry.name == "ridge").unwrap();
    let images = ImageClasses::<f64>::digits();
    let why = samples.open_on_images(images, None).unwrap_err().to_string();
    assert_eq!(why, "ridge takes no images");
}

#[test]
fn columns_are_scaled_and_rows_known() {
    let folder = tempdir().unwrap();
    // Column 1 has mean 20 and deviation 10; column 2 is constant and becomes 1.
    let file = whole(&put(&folder, "a.csv", "10,5,0\n20,5,1\n30,5,0\n"));
    let (rows, notes) = read(&file);
    assert_eq!(rows[1], (0, vec![30.0, 5.0]));
    let note = "a.csv: the values of feature 1 are of size 22.4, and the default step sizes are for values of about 1: \
                --standardise scales all features, --lr auto adapts the step size";
    assert_eq!(notes, [note]);
    let (rows, notes) = read(&Files { standardise: true, ..file.clone() });
    assert_eq!(rows, [(0, vec![-1.0, 1.0]), (0, vec![1.0, 1.0]), (1, vec![0.0, 1.0])]);
    assert!(notes.is_empty(), "{notes:?}");
    // Samples are drawn in random order, but their rows in the file are known.
    let sets = load::<f64>(&file, 3).unwrap();
    let rows = sets.rows().clone();
    let (parts, _) = sets.into_classes().unwrap();
    for (part, rows) in parts.iter().zip(&rows) {
        let first: Vec<f64> = (0..part.len()).map(|i| part.row(i)[0]).collect();
        let told: Vec<f64> = rows.iter().map(|&row| [10.0, 20.0, 30.0][row]).collect();
        assert_eq!(first, told);
    }
    assert!(Sets::<f64>::digits([10, 10, 10], 0).unwrap().rows().iter().all(Vec::is_empty));
    let sparse = whole(&put(&folder, "a.svm", "0 1:1\n1 2:1\n"));
    let error = load::<f64>(&Files { standardise: true, ..sparse }, 0).unwrap_err().to_string();
    assert_eq!(
        error,
        "--standardise: sparse samples cannot be standardised: subtracting a mean would fill their zeros"
    );
    // Labels that are not whole numbers are reported, because they may be numbers to predict.
    let file = put(&folder, "b.csv", "1,0.5\n2,0.7\n3,0.5\n");
    assert_eq!(read(&whole(&file)).1, ["b.csv: 2 classes: 0.5, 0.7"]);
}

#[test]
fn numbers_are_predicted() {
    let dir = tempdir().unwrap();
    // The data of the `ElasticNet` example, with the first part dense and sparse.
    let dense = put(&dir, "a.csv", b"1,0,1,3\n0,1,1,1\n1,1,0,2\n1,-1,0.5,2.2\n");
    let sparse = put(&dir, "a.svm", b"3 1:1 3:1\n1 2:1 3:1\n2 1:1 2:1\n2.2 1:1 2:-1 3:0.5\n");
    let valid = put(&dir, "v.csv", b"1,0.5,0,2\n0,1,1,1\n1,0,-1,1.5\n");
    let x = [0.3_f64.ln()];
    let mut found = Vec::new();
    for train in [dense, sparse] {
        let files = Files { train, numbers: true, ..Files::default() };
        let split = Files { split: Some([2, 1, 1]), ..files.clone() };
        let parts = load::<f64>(&split, 0).unwrap().into_numbers().unwrap();
        assert_eq!(parts.each_ref().map(Targets::len), [2, 1, 1]);
        let (valid, test) = (Some(valid.clone()), Some(valid.clone()));
        let sets = load::<f64>(&Files { valid, test, ..files }, 3).unwrap();
        let lasso = catalogue().into_iter().find(|entry| entry.name == "lasso").unwrap();
        let mut oracle = lasso.open_on(Some(sets), None).unwrap();
        oracle.set_rule(Ista::learned(0));
        let (inner, draw, mut gradient) =
            (InnerLoop::new(300, 0.6).unwrap(), Draw::new(0, 0), [0.0]);
        let made = Exact::default().estimate(&mut oracle, &inner, &x, draw, &mut gradient);
        let mut w = Vec::new();
        solve(&mut oracle, &inner, &x, draw, &mut w).unwrap();
        let error = oracle.metrics(&w, &x, &inner)[1].value;
        found.push([made.unwrap().loss, gradient[0], error]);
    }
    // The test samples equal the validation samples.
    let known = [0.41 / 3.0, 0.3 * 0.28 / 0.9, 0.41 / 3.0];
    for found in found {
        assert!(found.iter().zip(known).all(|(a, b)| (a - b).abs() < 1e-14), "{found:?}");
    }
}
