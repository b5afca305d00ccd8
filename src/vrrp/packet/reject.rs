//! Why a message is dropped, and the counter of each cause.

use std::time::Duration;

/// Why a message is dropped. The names of [`Reject::name`] are those of keepalived's statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// It crossed a router.
    #[error("TTL {0} is not 255")]
    Ttl(u8),
    /// A peer is nearer or further away than the file says.
    #[error("TTL {0} is outside of `min_ttl` and `max_ttl` of the peer")]
    PeerTtl(u8),
    /// Shorter than its headers say.
    #[error("{have} bytes where {need} are needed")]
    Length {
        /// Bytes received.
        have: usize,
        /// Bytes that the headers promise.
        need: usize,
    },
    /// Neither 2 nor 3, or not the one configured.
    #[error("version {0} is not the configured one")]
    Version(u8),
    /// Not an advertisement.
    #[error("type {0} is not an advertisement")]
    Type(u8),
    /// Neither form of the checksum is right.
    #[error("checksum is wrong")]
    Checksum,
    /// No such virtual router here.
    #[error("virtual router {0} is not configured on this interface")]
    Vrid(u8),
    /// It names no address: erratum 8299 of RFC 5798 has it ignored.
    #[error("no address is named")]
    NoAddress,
    /// The interval is zero, or version 2 and not ours.
    #[error("interval {theirs:?} is not the configured {ours:?}")]
    Interval {
        /// In the message.
        theirs: Duration,
        /// Configured.
        ours: Duration,
    },
    /// Not a known authentication type.
    #[error("authentication type {0} does not exist")]
    AuthType(u8),
    /// Another authentication type.
    #[error("authentication type {theirs} is not the configured {ours}")]
    AuthMismatch {
        /// In the message.
        theirs: u8,
        /// Configured.
        ours: u8,
    },
    /// Wrong password.
    #[error("password is wrong")]
    AuthFailure,
    /// The authentication header was made with another password, or the datagram was changed.
    #[error("authentication header is wrong: another password, or a changed datagram")]
    Icv,
    /// The security parameter index of an authentication header is the source, as keepalived has it.
    #[error("security parameter index is not the source")]
    Spi,
    /// The sequence number of an authentication header is not new.
    #[error("sequence number {0} of the authentication header was heard before")]
    Sequence(u32),
    /// A signature is demanded, and there is none.
    #[error("message is not signed")]
    TrailerMissing,
    /// Another scheme, or bits that have to be zero are not.
    #[error("trailer is of no known kind")]
    TrailerMalformed,
    /// Signed with a key that the file does not have.
    #[error("key {0} of the trailer is not in the file")]
    UnknownKey(u8),
    /// Signed with another secret, or changed on its way.
    #[error("signature is wrong")]
    Signature,
    /// Signed at another time than ours; or the clocks differ.
    #[error("signed {seconds} s ago by our clock, {window} s are allowed")]
    Stale {
        /// Negative: in the future.
        seconds: i32,
        /// Of the file.
        window: u16,
    },
    /// Signed before, and heard before.
    #[error("signed message was heard before")]
    Replay,
    /// A unicast instance hears somebody else than its peers.
    #[error("sender is not a configured peer")]
    Source,
    /// Our own message came back: a loop, or a second router with our address.
    #[error("sender has our own address")]
    OwnAddress,
}

impl Reject {
    /// Every name, for a table that shows zeros too.
    pub const NAMES: [&str; 19] = [
        "ip_ttl_err",
        "packet_len_err",
        "vers_err",
        "invalid_type_rcvd",
        "chk_err",
        "vrid_err",
        "addr_count_err",
        "advert_interval_err",
        "invalid_authtype",
        "authtype_mismatch",
        "auth_failure",
        "auth_ext_missing",
        "auth_ext_malformed",
        "auth_ext_unknown_key",
        "auth_ext_invalid_hmac",
        "auth_ext_stale",
        "auth_ext_replay",
        "unicast_src_err",
        "own_address_rcvd",
    ];

    /// Name of the counter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ttl(_) | Self::PeerTtl(_) => "ip_ttl_err",
            Self::Length { .. } => "packet_len_err",
            Self::Version(_) => "vers_err",
            Self::Type(_) => "invalid_type_rcvd",
            Self::Checksum => "chk_err",
            Self::Vrid(_) => "vrid_err",
            Self::NoAddress => "addr_count_err",
            Self::Interval { .. } => "advert_interval_err",
            Self::AuthType(_) => "invalid_authtype",
            Self::AuthMismatch { .. } => "authtype_mismatch",
            Self::AuthFailure | Self::Icv | Self::Spi | Self::Sequence(_) => "auth_failure",
            Self::TrailerMissing => "auth_ext_missing",
            Self::TrailerMalformed => "auth_ext_malformed",
            Self::UnknownKey(_) => "auth_ext_unknown_key",
            Self::Signature => "auth_ext_invalid_hmac",
            Self::Stale { .. } => "auth_ext_stale",
            Self::Replay => "auth_ext_replay",
            Self::Source => "unicast_src_err",
            Self::OwnAddress => "own_address_rcvd",
        }
    }
}
