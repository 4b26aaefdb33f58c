//! Images in classes from PNG files: folders and zip archives in the layout of Omniglot (Lake, Salakhutdinov and Tenenbaum
//! 2015), where the folder of an image is its class.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::Path;

use hypertape_autodiff::Element;
use hypertape_solver::Error;

use crate::image_classes::ImageClasses;

/// Most bytes of an image, packed or not: a header may claim any size.
const MOST: usize = 1 << 26;

/// Classes by name, images of each by name: what two sources share is there once.
type Files = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

impl<T: Element> ImageClasses<T> {
    /// The PNG files in folders or zip archives, as images of `side x side` pixels from 0 (white) to 1 (black). A pixel is the
    /// mean of the part of the image that it covers; of colours, the first channel is taken. The last two folders of an image
    /// name its class (alphabet and character). Classes are in the order of their names.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a path that cannot be read or holds no PNG file, and for a file that is none.
    pub fn from_files(paths: &[impl AsRef<Path>], side: u32) -> Result<Self, Error> {
        let mut files = Files::new();
        for path in paths.iter().map(AsRef::as_ref) {
            let failed = |e: &dyn std::fmt::Display| {
                Error::invalid(
                    path.display().to_string(),
                    e,
                    "PNG files in folders, or a zip archive of them",
                )
            };
            if path.is_dir() {
                folder(path, &mut files).map_err(|e| failed(&e))?;
            } else {
                let file = File::open(path).map_err(|e| failed(&e))?;
                let mut archive = zip::ZipArchive::new(file).map_err(|e| failed(&e))?;
                for i in 0..archive.len() {
                    let entry = archive.by_index(i).map_err(|e| failed(&e))?;
                    let (name, mut bytes) = (entry.name().to_owned(), Vec::new());
                    entry.take(MOST as u64).read_to_end(&mut bytes).map_err(|e| failed(&e))?;
                    keep(&mut files, Path::new(&name), bytes);
                }
            }
        }
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for (label, images) in (0..).zip(files.values()) {
            for (name, bytes) in images {
                let image = decode(bytes).map_err(|e| Error::invalid(name, e, "a PNG image"))?;
                shrink(&image, side as usize, &mut pixels);
                labels.push(label);
            }
        }
        Self::new(pixels, [side, side], &labels)
    }
}

fn folder(path: &Path, files: &mut Files) -> std::io::Result<()> {
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() {
            folder(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "png") {
            let bytes = fs::read(&path)?;
            keep(files, &path, bytes);
        }
    }
    Ok(())
}

/// Files a PNG image under its class; ignores other files.
fn keep(files: &mut Files, path: &Path, bytes: Vec<u8>) {
    if path.extension().is_none_or(|e| e != "png") {
        return;
    }
    let text = |p: Option<&Path>| {
        p.and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned()
    };
    let class = path.parent();
    let class_name = format!("{}/{}", text(class.and_then(Path::parent)), text(class));
    files.entry(class_name).or_default().insert(text(Some(path)), bytes);
}

/// An image of one channel: its width, and ink from 0 to 1.
type Ink = (usize, Vec<f64>);

fn decode(bytes: &[u8]) -> Result<Ink, png::DecodingError> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let size = reader.output_buffer_size().filter(|&size| size <= MOST);
    let mut buffer = vec![0; size.ok_or(png::DecodingError::LimitsExceeded)?];
    let info = reader.next_frame(&mut buffer)?;
    let pixels = buffer[..info.buffer_size()].chunks_exact(info.color_type.samples());
    Ok((info.width as usize, pixels.map(|p| 1.0 - f64::from(p[0]) / 255.0).collect()))
}

/// Appends the image at another size.
fn shrink<T: Element>((width, ink): &Ink, side: usize, out: &mut Vec<T>) {
    let height = ink.len() / width;
    // Pixels that pixel `i` covers, each with its share.
    let shares = |i: usize, n: usize| {
        let [low, high] = [i, i + 1].map(|i| i as f64 * n as f64 / side as f64);
        (i * n / side..((i + 1) * n).div_ceil(side)).map(move |p| {
            let p_end = (p + 1) as f64;
            (p, (p_end.min(high) - (p as f64).max(low)) / (high - low))
        })
    };
    for at in 0..side * side {
        let rows = shares(at / side, height);
        let sum = rows.flat_map(|(y, a)| {
            shares(at % side, *width).map(move |(x, b)| a * b * ink[y * width + x])
        });
        out.push(T::from_f64(sum.sum()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_become_classes_at_the_size_asked_for() {
        let folder = std::env::temp_dir().join(format!("hypertape-images-{}", std::process::id()));
        for (class, value) in [("a/one", 0), ("a/two", 255)] {
            let class = folder.join(class);
            fs::create_dir_all(&class).unwrap();
            let file = File::create(class.join("0.png")).unwrap();
            let mut encoder = png::Encoder::new(file, 3, 3);
            encoder.set_color(png::ColorType::Grayscale);
            // The middle is always black.
            let pixels: Vec<u8> = (0..9).map(|i| if i == 4 { 0 } else { value }).collect();
            encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        }
        let images = ImageClasses::<f64>::from_files(&[&folder], 2);
        fs::remove_dir_all(&folder).unwrap();
        let images = images.unwrap();
        assert_eq!((images.len(), images.members(1)), (2, &[1][..]));
        let (_, pixels) = images.rows();
        // A quarter of each 1.5 x 1.5 pixels, of which 0.5 x 0.5 are black.
        let expected = [1.0, 1.0, 1.0, 1.0].into_iter().chain([1.0 / 9.0; 4]);
        assert!(pixels.iter().zip(expected).all(|(p, e)| (p - e).abs() < 1e-15), "{pixels:?}");
    }

    #[test]
    fn a_header_cannot_claim_any_size() {
        let mut bytes = Vec::new();
        let mut writer = png::Encoder::new(&mut bytes, 1 << 14, 1 << 14).write_header().unwrap();
        writer.write_chunk(png::chunk::IDAT, &[0; 8]).unwrap();
        drop(writer);
        assert!(matches!(decode(&bytes), Err(png::DecodingError::LimitsExceeded)));
    }

    #[test]
    fn a_path_without_images_is_named() {
        let error = ImageClasses::<f32>::from_files(&["/nowhere.zip"], 4).unwrap_err().to_string();
        assert!(error.contains("/nowhere.zip") && error.contains("zip archive"), "{error}");
    }
}
