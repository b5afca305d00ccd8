//! The TCP check: a connection is established, a dialogue held where given, and it is reset at once.

use super::{Outcome, Reason, Target, dialogue, socket};
use crate::config::model::Dialogue;

/// Connects; success is an established connection, and what the dialogue wants to hear.
pub async fn probe(target: &Target, dialogue: &Dialogue) -> Outcome {
    let mut stream = match socket::connect(target).await {
        Ok(stream) => stream,
        Err(ended) => return ended,
    };
    if *dialogue == Dialogue::default() {
        return Outcome::Success(Reason::Borrowed("connected"));
    }
    dialogue::hold(&mut stream, dialogue).await.map_or_else(|ended| ended, Outcome::Success)
}
