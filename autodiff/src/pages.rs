//! Huge pages for large buffers: the system hands out new memory page by page, and touching a page for the first time
//! costs more than filling it.

/// Asks the system to back `len` values from `start` on by huge pages, if they take many bytes.
pub(crate) fn advise<T>(start: *const T, len: usize) {
    const LARGE: usize = 4 << 20;
    let bytes = len * size_of::<T>();
    if bytes < LARGE || cfg!(miri) {
        return;
    }
    #[cfg(target_os = "linux")]
    {
        use std::ffi::{c_int, c_void};
        unsafe extern "C" {
            fn madvise(at: *mut c_void, bytes: usize, advice: c_int) -> c_int;
        }
        const PAGE: usize = 4096;
        const MADV_HUGEPAGE: c_int = 14;
        let skip = start.addr().wrapping_neg() % PAGE;
        // SAFETY: whole pages inside the buffer. The advice changes nothing that a program can see, and an error only
        // means that it is not followed.
        unsafe {
            let start = start.cast_mut().byte_add(skip);
            madvise(start.cast(), bytes - skip, MADV_HUGEPAGE);
        }
    }
}
