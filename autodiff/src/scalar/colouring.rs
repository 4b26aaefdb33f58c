//! Colourings: groups of columns, rows or vertices that one pass of derivatives can serve together.
//!
//! Gebremedhin, Manne and Pothen (2005): greedy, in the order of decreasing degree. Columns of a Jacobian may share a
//! colour if they share no row. A star colouring of a symmetric matrix (with stars stored as by Gebremedhin, Tarafdar,
//! Pothen and Walther (2009)) leaves no path of four vertices with two colours, so that every entry appears alone in
//! the compressed column of one of its two ends.

use std::collections::HashMap;

use super::pattern::Pattern;

/// Returns the rows of a pattern in the order of decreasing length.
fn largest_first(pattern: &Pattern) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pattern.rows()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(pattern.row(i).len()));
    order
}

/// Returns the number of colours.
pub(super) fn count(colours: &[u32]) -> usize {
    colours.iter().max().map_or(0, |&most| most as usize + 1)
}

/// Returns a colour for each row such that no two rows of a colour share a column, or `None` if that takes more than
/// `most` colours. Cost: one word per 64 colours for each entry.
pub(super) fn rows(pattern: &Pattern, most: usize) -> Option<Vec<u32>> {
    // For each 64 colours, those that a column has.
    let mut used = Vec::<Vec<u64>>::new();
    let mut colours = vec![0; pattern.rows()];
    for i in largest_first(pattern) {
        let columns = || pattern.row(i).iter().map(|&j| j as usize);
        let taken = |used: &[u64]| columns().fold(0, |all, j| all | used[j]);
        let free =
            used.iter().map(|used| taken(used)).enumerate().find(|&(_, bits)| bits != u64::MAX);
        let (word, bits) = free.unwrap_or((used.len(), 0));
        let bit = bits.trailing_ones();
        colours[i] = u32::try_from(64 * word).ok()? + bit;
        if colours[i] as usize >= most {
            return None;
        }
        if word == used.len() {
            used.push(vec![0; pattern.cols()]);
        }
        columns().for_each(|j| used[word][j] |= 1 << bit);
    }
    Some(colours)
}

/// Returns colours of columns, or of rows if those are cheaper, which they are if columns take more than `8 (rows + 3)`
/// colours. `transposed` is the transpose. The side that is not chosen is coloured only as far as it could be chosen: a
/// colouring of rows takes at least as many colours as the longest column has entries, so the limits start there and
/// are doubled.
pub(super) fn cheaper(pattern: &Pattern, transposed: &Pattern) -> (Vec<u32>, bool) {
    let columns = |rows: usize| self::rows(transposed, 8 * (rows + 3));
    let mut least = transposed.longest();
    loop {
        if let Some(colours) = columns(least) {
            return (colours, false);
        }
        least *= 2;
        if let Some(by_row) = rows(pattern, least) {
            return columns(count(&by_row)).map_or((by_row, true), |by_column| (by_column, false));
        }
    }
}

/// For a vertex and a colour: the first neighbour with that colour, and the number of such neighbours.
type Spokes = HashMap<(u32, u32), (u32, usize)>;

/// Returns a star colouring of a symmetric pattern. Cost: a few look-ups per entry, and, for each vertex that has two
/// neighbours of the same colour, its degree once for each of these.
pub(super) fn star(pattern: &Pattern) -> Vec<u32> {
    const NONE: u32 = u32::MAX;
    let n = pattern.rows();
    let mut colours = vec![NONE; n];
    let mut spokes = Spokes::new();
    // For each vertex, the hubs of the stars in which it is one of several spokes.
    let mut hubs = vec![Vec::new(); n];
    let (mut forbidden, mut first) = (vec![n; n + 1], vec![(n, None); n + 1]);
    for v in largest_first(pattern) {
        let neighbours = |of: usize, colours: &[u32]| -> Vec<usize> {
            let others = pattern.row(of).iter().map(|&w| w as usize);
            others.filter(|&w| w != of && colours[w] != NONE).collect()
        };
        let around = neighbours(v, &colours);
        for &w in &around {
            let colour = colours[w] as usize;
            forbidden[colour] = v;
            let mut treat = |w| {
                for x in neighbours(w, &colours) {
                    forbidden[colours[x] as usize] = v;
                }
            };
            match first[colour] {
                // `v` becomes the hub of both, whose other neighbours must have other colours.
                (seen, other) if seen == v => {
                    treat(w);
                    if let Some(other) = other {
                        treat(other);
                        first[colour].1 = None;
                    }
                }
                _ => {
                    first[colour] = (v, Some(w));
                    for &x in &hubs[w] {
                        forbidden[colours[x as usize] as usize] = v;
                    }
                }
            }
        }
        let colour = (0_u32..).zip(&forbidden).find(|&(_, &by)| by != v).map_or(0, |(c, _)| c);
        colours[v] = colour;
        let mut note = |hub: usize, colour: u32, spoke: usize| {
            let [hub, spoke] = [hub, spoke].map(|v| u32::try_from(v).unwrap_or(NONE));
            let (first, several) = spokes.entry((hub, colour)).or_insert((spoke, 0));
            *several += 1;
            if *several > 1 {
                hubs[spoke as usize].push(hub);
            }
            if *several == 2 {
                hubs[*first as usize].push(hub);
            }
        };
        for w in around {
            note(w, colour, v);
            note(v, colours[w], w);
        }
    }
    colours
}
