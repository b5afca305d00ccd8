//! Authentication of VRRP version 2 (RFC 2338 section 5.3.6): the type and eight bytes of data that end each message.
//!
//! RFC 3768 removed it; type 1, clear text, is still spoken by old peers, and type 2 by some keepalived: see [`super::ah`].

use crate::config::model::VrrpAuth;

use super::packet::Reject;

/// The authentication fields of a version 2 message as they are on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuthField {
    /// 0 none, 1 simple text, 2 IP authentication header.
    pub kind: u8,
    /// Authentication data; zero for kinds 0 and 2.
    pub data: [u8; 8],
}

impl AuthField {
    const PASS: u8 = 1;
    const AH: u8 = 2;
    const HIGHEST_KIND: u8 = 2;

    /// What an instance sends.
    #[must_use]
    pub fn for_config(auth: Option<&VrrpAuth>) -> Self {
        match auth {
            None | Some(VrrpAuth::Hmac(_)) => Self::default(),
            Some(VrrpAuth::Ah(_)) => Self { kind: Self::AH, data: [0; 8] },
            Some(VrrpAuth::Pass(key)) => {
                let mut data = [0; 8];
                for (to, from) in data.iter_mut().zip(key) {
                    *to = *from;
                }
                Self { kind: Self::PASS, data }
            }
        }
    }

    /// Judges the fields of a received message (RFC 2338 section 7.1).
    ///
    /// # Errors
    /// An unknown type, another type than ours, or another password.
    pub fn check(self, auth: Option<&VrrpAuth>) -> Result<(), Reject> {
        let ours = Self::for_config(auth);
        if self.kind > Self::HIGHEST_KIND {
            Err(Reject::AuthType(self.kind))
        } else if self.kind != ours.kind {
            Err(Reject::AuthMismatch { theirs: self.kind, ours: ours.kind })
        } else if self.kind == Self::PASS && self.data != ours.data {
            Err(Reject::AuthFailure)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(key: &[u8]) -> VrrpAuth {
        VrrpAuth::Pass(heapless::Vec::from_slice(key).unwrap())
    }

    #[test]
    fn a_password_is_padded_with_zeros() {
        let field = AuthField::for_config(Some(&pass(b"1111")));
        assert_eq!(field, AuthField { kind: 1, data: *b"1111\0\0\0\0" });
    }

    #[test]
    fn each_kind_of_disagreement_has_its_name() {
        let ours = pass(b"1111");
        assert_eq!(AuthField::for_config(Some(&ours)).check(Some(&ours)), Ok(()));
        assert_eq!(AuthField::default().check(None), Ok(()));
        assert_eq!(AuthField::default().check(Some(&ours)), Err(Reject::AuthMismatch { theirs: 0, ours: 1 }));
        assert_eq!(AuthField::for_config(Some(&pass(b"2222"))).check(Some(&ours)), Err(Reject::AuthFailure));
        assert_eq!(AuthField { kind: 9, data: [0; 8] }.check(None), Err(Reject::AuthType(9)));
    }

    #[test]
    fn data_without_authentication_means_nothing() {
        assert_eq!(AuthField { kind: 0, data: *b"whatever" }.check(None), Ok(()));
    }
}
