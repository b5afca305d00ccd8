//! The checks of a received advertisement that need the configuration (RFC 9568 section 7.1, RFC 2338 section 7.1).

use crate::config::model::{VrrpInstance, VrrpVersion};

use super::event::Params;
use super::packet::{Decoded, Envelope, Reject, TTL};

/// Whether an instance heeds what was decoded.
///
/// # Errors
/// The first check that fails. Another list of addresses is none: dropping would make two masters of every change of it.
pub fn accept(
    config: &VrrpInstance,
    params: &Params,
    envelope: &Envelope,
    decoded: &Decoded,
) -> Result<(), Reject> {
    let advert = &decoded.advert;
    let Params { version, interval, source, .. } = *params;
    if envelope.source == source {
        return Err(Reject::OwnAddress);
    }
    if config.peers.is_empty() {
        // RFC 9568 section 5.1.1.3. Only a configured peer may be further away than the segment.
        if envelope.ttl != TTL {
            return Err(Reject::Ttl(envelope.ttl));
        }
    } else {
        let peer = config.peers.iter().find(|peer| peer.address == envelope.source).ok_or(Reject::Source)?;
        if !(peer.min_ttl..=peer.max_ttl).contains(&envelope.ttl) {
            return Err(Reject::PeerTtl(envelope.ttl));
        }
    }
    if advert.version != version {
        return Err(Reject::Version(if version == VrrpVersion::V2 { 3 } else { 2 }));
    }
    // RFC 3768 section 7.1: another interval is discarded; RFC 9568 section 6.4.2: it is adopted.
    let odd = match version {
        VrrpVersion::V2 => {
            advert.auth.check(config.auth.as_ref())?;
            advert.interval != interval
        }
        VrrpVersion::V3 => advert.interval.is_zero(),
    };
    if odd { Err(Reject::Interval { theirs: advert.interval, ours: interval }) } else { Ok(()) }
}
