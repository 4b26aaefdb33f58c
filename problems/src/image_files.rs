//! Images in classes from PNG and JPEG files: folders and zip archives in the layout of Omniglot (Lake, Salakhutdinov
//! and Tenenbaum 2015), where the folder of an image is its class.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::Path;

use hypertape_autodiff::Element;
use hypertape_solver::Error;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::image_classes::ImageClasses;

/// Limit on the bytes of an image, compressed or not, because a header may claim any size.
const MOST: usize = 1 << 26;

/// Images by class and name, each with the path that it is from. An image that two sources share is kept once.
type Files = BTreeMap<String, BTreeMap<String, (String, Vec<u8>)>>;

impl<T: Element> ImageClasses<T> {
    /// Reads the PNG and JPEG files in folders or zip archives as images of `side x side` pixels from 0 (white) to 1
    /// (black). A pixel is the mean of the part of the image that it covers. Colours are converted to luminance, and
    /// transparent parts are drawn over white. The last two folders of an image name its class (alphabet and
    /// character), and classes are sorted by name. Other files are skipped, as are files whose names begin with a dot
    /// and folders `__MACOSX`.
    ///
    /// # Errors
    /// Returns [`Error::Told`], with the path, if a path cannot be read or contains no image, or if an image cannot be
    /// decoded.
    pub fn from_files(paths: &[impl AsRef<Path>], side: u32) -> Result<Self, Error> {
        let mut files = Files::new();
        for path in paths.iter().map(AsRef::as_ref) {
            let failed = |e: &dyn Display| {
                let kind = "expected a folder of images or a zip archive of them";
                Error::told(format!("{}: {e}; {kind}", path.display()))
            };
            let before = files.len();
            if path.is_dir() {
                folder(path, &mut files).map_err(|e| failed(&e))?;
            } else {
                let file = File::open(path).map_err(|e| failed(&e))?;
                let mut archive =
                    zip::ZipArchive::new(file).map_err(|_| failed(&"this is not a zip archive"))?;
                for i in 0..archive.len() {
                    let entry = archive.by_index(i).map_err(|e| failed(&e))?;
                    let name = entry.name().to_owned();
                    let read = || {
                        let mut bytes = Vec::new();
                        entry.take(MOST as u64).read_to_end(&mut bytes).map(|_| bytes)
                    };
                    let place = format!("{}/{name}", path.display());
                    keep(&mut files, Path::new(&name), place, read).map_err(|e| failed(&e))?;
                }
            }
            if files.len() == before {
                return Err(failed(&"no PNG or JPEG files"));
            }
        }
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for (label, images) in (0..).zip(files.values()) {
            for (place, bytes) in images.values() {
                let image = decode(bytes).map_err(|e| Error::told(format!("{place}: {e}")))?;
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
        } else {
            keep(files, &path, path.display().to_string(), || fs::read(&path))?;
        }
    }
    Ok(())
}

/// Stores an image under its class. Other files are ignored.
fn keep(
    files: &mut Files,
    path: &Path,
    place: String,
    read: impl FnOnce() -> std::io::Result<Vec<u8>>,
) -> std::io::Result<()> {
    let end = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
    let image = end.is_some_and(|end| ["png", "jpg", "jpeg"].contains(&&*end));
    let text = |p: Option<&Path>| {
        p.and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned()
    };
    let name = text(Some(path));
    if !image || name.starts_with('.') || path.iter().any(|part| part == "__MACOSX") {
        return Ok(());
    }
    let class = path.parent();
    let class_name = format!("{}/{}", text(class.and_then(Path::parent)), text(class));
    files.entry(class_name).or_default().insert(name, (place, read()?));
    Ok(())
}

/// An image of one channel: its width, and its ink from 0 to 1.
type Ink = (usize, Vec<f64>);

fn decode(bytes: &[u8]) -> Result<Ink, String> {
    if bytes.starts_with(&[0xff, 0xd8]) {
        return jpeg(bytes).map_err(|e| format!("not a JPEG image: {e}"));
    }
    png(bytes).map_err(|e| format!("not a PNG image: {e}"))
}

/// Returns the ink of an 8-bit colour, from its luminance (ITU-R BT.601).
fn ink(grey: bool, colours: &[u8]) -> f64 {
    let light = match *colours {
        [r, g, b, ..] if !grey && (r, g) != (g, b) => {
            0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b)
        }
        [light, ..] => f64::from(light),
        [] => 255.0,
    };
    1.0 - light / 255.0
}

fn png(bytes: &[u8]) -> Result<Ink, png::DecodingError> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let size = reader.output_buffer_size().filter(|&size| size <= MOST);
    let mut buffer = vec![0; size.ok_or(png::DecodingError::LimitsExceeded)?];
    let info = reader.next_frame(&mut buffer)?;
    let (channels, colour) = (info.color_type.samples(), info.color_type);
    let clear = matches!(colour, png::ColorType::GrayscaleAlpha | png::ColorType::Rgba);
    let pixel = |p: &[u8]| {
        // Drawn over white, which has no ink.
        let opacity = if clear { f64::from(p[channels - 1]) / 255.0 } else { 1.0 };
        opacity * ink(channels < 3, p)
    };
    let pixels = buffer[..info.buffer_size()].chunks_exact(channels);
    Ok((info.width as usize, pixels.map(pixel).collect()))
}

fn jpeg(bytes: &[u8]) -> Result<Ink, zune_jpeg::errors::DecodeErrors> {
    let most = MOST.isqrt();
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::Luma)
        .set_max_width(most)
        .set_max_height(most);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let pixels = decoder.decode()?;
    let width = decoder.info().map_or(1, |info| usize::from(info.width));
    Ok((width, pixels.iter().map(|&light| ink(true, &[light])).collect()))
}

/// Appends the image, resampled to `side x side` pixels.
fn shrink<T: Element>((width, ink): &Ink, side: usize, out: &mut Vec<T>) {
    let height = ink.len() / width;
    // The source pixels that pixel `i` covers, each with its share.
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
            // The pixel in the middle is always black.
            let pixels: Vec<u8> = (0..9).map(|i| if i == 4 { 0 } else { value }).collect();
            encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        }
        let images = ImageClasses::<f64>::from_files(&[&folder], 2);
        fs::remove_dir_all(&folder).unwrap();
        let images = images.unwrap();
        assert_eq!((images.len(), images.members(1)), (2, &[1][..]));
        let (_, pixels) = images.rows();
        // Each quarter covers 1.5 x 1.5 pixels, of which 0.5 x 0.5 are black.
        let expected = [1.0, 1.0, 1.0, 1.0].into_iter().chain([1.0 / 9.0; 4]);
        assert!(pixels.iter().zip(expected).all(|(p, e)| (p - e).abs() < 1e-15), "{pixels:?}");
    }

    /// A black pixel with three degrees of transparency, and a red one with two.
    #[test]
    fn what_is_transparent_is_over_white() {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 5, 1);
        encoder.set_color(png::ColorType::Rgba);
        let [black, red] = [[0, 0, 0], [255, 0, 0]];
        let pixel = |[r, g, b]: [u8; 3], a| [r, g, b, a];
        let pixels =
            [pixel(black, 255), pixel(black, 51), pixel(black, 0), pixel(red, 255), pixel(red, 0)];
        encoder.write_header().unwrap().write_image_data(&pixels.concat()).unwrap();
        let (width, found) = decode(&bytes).unwrap();
        let known = [1.0, 0.2, 0.0, 1.0 - 0.299, 0.0];
        assert_eq!(width, 5);
        assert!(found.iter().zip(known).all(|(f, k)| (f - k).abs() < 1e-15), "{found:?}");
    }

    /// 8 x 8 pixels of value 64 out of 255: one coefficient of -64, quantised by 8, with one-bit codes for its size and
    /// for the end of the block.
    fn jpeg_of_grey() -> Vec<u8> {
        let table =
            |kind, symbol| [&[0xff, 0xc4, 0, 20, kind, 1][..], &[0; 15], &[symbol]].concat();
        let parts = [
            vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0],
            vec![8; 64],
            vec![0xff, 0xc0, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0],
            table(0x00, 7),
            table(0x10, 0),
            vec![0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0],
            // A 0, then -64 as 0111111, then a 0, then ones.
            vec![0b0011_1111, 0b0111_1111, 0xff, 0xd9],
        ];
        parts.concat()
    }

    #[test]
    fn archives_hold_images_of_both_kinds_and_what_else_systems_add() {
        let path = std::env::temp_dir().join(format!("hypertape-{}.zip", std::process::id()));
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        let mut add = |name: &str, bytes: &[u8]| {
            use std::io::Write;
            archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(bytes).unwrap();
        };
        add("a/one/0.JPG", &jpeg_of_grey());
        add("a/two/1.jpeg", &jpeg_of_grey());
        add("__MACOSX/a/one/._0.JPG", b"Mac OS X");
        add("a/one/.hidden.png", b"none");
        add("a/one/notes.txt", b"none");
        archive.finish().unwrap();
        let images = ImageClasses::<f64>::from_files(&[&path], 2).unwrap();
        assert_eq!(images.len(), 2);
        // One step out of 255 of rounding.
        let known = 1.0 - 64.0 / 255.0;
        assert!(images.rows().1.iter().all(|p| (p - known).abs() < 1.0 / 255.0), "{images:?}");
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        archive.start_file("a/one/0.png", zip::write::SimpleFileOptions::default()).unwrap();
        archive.finish().unwrap();
        let why = ImageClasses::<f64>::from_files(&[&path], 2).unwrap_err().to_string();
        fs::remove_file(&path).unwrap();
        assert!(why.contains(".zip/a/one/0.png: not a PNG image"), "{why}");
    }

    #[test]
    fn a_header_cannot_claim_any_size() {
        let mut bytes = Vec::new();
        let mut writer = png::Encoder::new(&mut bytes, 1 << 14, 1 << 14).write_header().unwrap();
        writer.write_chunk(png::chunk::IDAT, &[0; 8]).unwrap();
        drop(writer);
        assert!(matches!(png(&bytes), Err(png::DecodingError::LimitsExceeded)));
    }

    #[test]
    fn a_path_without_images_is_named() {
        let error = ImageClasses::<f32>::from_files(&["/nowhere.zip"], 4).unwrap_err().to_string();
        assert!(error.contains("/nowhere.zip") && error.contains("zip archive"), "{error}");
    }
}
