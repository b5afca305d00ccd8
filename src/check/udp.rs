//! The UDP check: a datagram, and what must, or must not, come back.

use std::time::Duration;

use super::{Outcome, Reason, Step, Target, datagram, reason};
use crate::pattern::Pattern;
use crate::units::show_duration;

/// Sends `payload`. With `reply` the first datagram that comes back must match it. Without, any answer is a good one, and so
/// is silence: up unless an ICMP error comes back while the probe waits, which it does until shortly before the check's
/// timeout. That a neighbour does not answer ARP is known after 3 s only.
pub async fn probe(target: &Target, payload: &[u8], reply: Option<&Pattern>) -> Outcome {
    let exchange = exchange(target, payload);
    let heard = match reply {
        Some(_) => exchange.await.map(Some),
        None => tokio::time::timeout(patience(target.check.timeout), exchange).await.ok().transpose(),
    };
    match (heard, reply) {
        (Ok(Some(answer)), Some(reply)) => judge(&answer, reply),
        (Ok(Some(answer)), None) => {
            Outcome::Success(Reason::Owned(format!("{} bytes answered", answer.len())))
        }
        (Ok(None), _) => Outcome::Success(Reason::Owned(format!(
            "no ICMP error within {}",
            show_duration(patience(target.check.timeout))
        ))),
        (Err(ended), _) => ended,
    }
}

/// How long silence is waited for: the timeout of the check, less what the answer takes to be counted in time.
fn patience(timeout: Duration) -> Duration {
    timeout.saturating_sub((timeout / 10).min(Duration::from_millis(50)))
}

async fn exchange(target: &Target, payload: &[u8]) -> Step<Vec<u8>> {
    let socket = datagram::udp(target)?;
    socket.send(payload).await?;
    Ok(datagram::receive(&socket).await?)
}

fn judge(answer: &[u8], reply: &Pattern) -> Outcome {
    let length = answer.len();
    if reply.is_in(answer) {
        return Outcome::Success(Reason::Owned(format!("{length} bytes answered as wanted")));
    }
    Outcome::Failure(Reason::Owned(format!(
        "answered {}, wanted {:?}",
        reason::quote(answer),
        reply.as_str()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfitting_answer_is_quoted() {
        let pattern = "^PONG".parse().unwrap();
        assert_eq!(judge(b"PONG!", &pattern), Outcome::Success("5 bytes answered as wanted".into()));
        let Outcome::Failure(why) = judge(b"\xff\x00error", &pattern) else { panic!() };
        assert_eq!(why, "answered \"\\xff\\x00error\", wanted \"^PONG\"");
    }

    #[test]
    fn silence_is_known_before_the_check_times_out() {
        assert_eq!(patience(Duration::from_millis(100)), Duration::from_millis(90));
        assert_eq!(patience(Duration::from_secs(4)), Duration::from_millis(3950));
    }
}
