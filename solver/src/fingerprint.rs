//! A hash that distinguishes texts and vectors.

/// Returns the 64-bit FNV-1a hash of `bytes` (Fowler, Noll and Vo). Any change of a single byte changes the hash.
///
/// ```
/// use hypertape_solver::fingerprint;
/// assert_eq!(fingerprint(*b"a"), 0xaf63_dc4c_8601_ec8c);
/// ```
pub fn fingerprint(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3_u64);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, mix)
}
