//! The move of a frame from one body to the next.

use http_body::Frame;

/// Returns `frame`, and moves no more of it than its data.
///
/// A frame has room for trailers, which are three times as large as data. An adapter that returns the frame of its inner body
/// as it is moves all of it, often more than once.
/// ```
/// use http_body::Frame;
/// use relay_stream::body::forward;
///
/// let frame = forward(Frame::data(bytes::Bytes::from("data")));
/// assert_eq!(frame.into_data().unwrap(), "data");
/// ```
#[inline]
pub fn forward<D>(frame: Frame<D>) -> Frame<D> {
    match frame.into_data() {
        Ok(data) => Frame::data(data),
        Err(trailers) => trailers,
    }
}
