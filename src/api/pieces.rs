//! A body in pieces: what has megabytes is sent from where it lies.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// The rest of a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pieces(VecDeque<Bytes>);

impl From<Vec<Bytes>> for Pieces {
    fn from(pieces: Vec<Bytes>) -> Self {
        Self(pieces.into_iter().filter(|piece| !piece.is_empty()).collect())
    }
}

impl From<String> for Pieces {
    fn from(text: String) -> Self {
        vec![text.into()].into()
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| u64::try_from(piece.len()).unwrap_or(u64::MAX)).sum())
    }
}

#[cfg(test)]
impl Pieces {
    /// All of them.
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.iter().flat_map(|piece| piece.to_vec()).collect()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_turn_and_say_how_much_they_are() {
        let mut body = Pieces::from(vec![Bytes::from("ab"), Bytes::new(), Bytes::from("c")]);
        assert_eq!((body.size_hint().exact(), body.text().as_str()), (Some(3), "abc"));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut next = || match Pin::new(&mut body).poll_frame(&mut context) {
            Poll::Ready(frame) => frame.map(|frame| frame.unwrap().into_data().unwrap()),
            Poll::Pending => panic!("nothing is waited for"),
        };
        assert_eq!((next(), next(), next()), (Some("ab".into()), Some("c".into()), None));
        assert!(body.is_end_stream());
        assert!(Pieces::from(String::new()).is_end_stream());
    }
}
