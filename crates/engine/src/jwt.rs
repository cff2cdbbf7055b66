//! Signed texts (JWT) with one algorithm: HMAC with SHA-256. A text that names another one is refused.
//!
//! The library brings its cryptography along as a choice of two large packages for algorithms that are not used here, so
//! this one is given to it instead.

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use signature::{Error, Signer, Verifier};

const ISSUER: &str = "tallystick";

/// What a portal token says. The names are those that clients of the vendor may already read.
#[derive(Serialize, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    /// The subject whose usage it opens.
    pub sub: String,
    /// Unix time from which on it opens nothing.
    pub exp: i64,
    /// Unix time at which it was made.
    pub iat: i64,
    /// The namespace.
    #[serde(rename = "Namespace")]
    pub namespace: String,
    /// Identity of the token.
    #[serde(rename = "Id")]
    pub id: String,
    /// The only meters that it opens; all when empty.
    #[serde(rename = "AllowedMeterSlugs")]
    pub meters: Vec<String>,
}

impl Claims {
    pub(crate) fn new(sub: String, iat: i64, exp: i64, namespace: String, id: String, meters: Vec<String>) -> Self {
        Self { iss: ISSUER.into(), sub, exp, iat, namespace, id, meters }
    }
}

/// Signs claims.
pub(crate) fn sign(claims: &Claims, secret: &str) -> Result<String> {
    install();
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret.as_bytes()))
}

/// The claims of a text that was signed with this secret and is meant for us. Whether it has expired is for the caller to
/// say, who has the clock.
pub(crate) fn verify(text: &str, secret: &str) -> Result<Claims> {
    install();
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "iss", "sub"]);
    validation.validate_exp = false;
    jsonwebtoken::decode(text, &DecodingKey::from_secret(secret.as_bytes()), &validation).map(|token| token.claims)
}

/// Only the first call of a process installs something, and every call would install the same.
fn install() {
    let _ = PROVIDER.install_default();
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(Hs256::new(algorithm, key.as_bytes())?)),
    verifier_factory: |algorithm, key| Ok(Box::new(Hs256::new(algorithm, key.try_get_as_bytes()?)?)),
    key_utils: KeyUtils::new_unimplemented(),
};

struct Hs256(Hmac<Sha256>);

impl Hs256 {
    fn new(algorithm: &Algorithm, key: &[u8]) -> Result<Self> {
        if *algorithm != Algorithm::HS256 {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        Hmac::new_from_slice(key).map(Self).map_err(|_| ErrorKind::InvalidKeyFormat.into())
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        let mut mac = self.0.clone();
        mac.update(message);
        Ok(mac.finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.verify_slice(signature).map_err(|_| Error::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims::new("s".into(), 1, 2, "default".into(), "id".into(), vec![])
    }

    #[test]
    fn what_was_signed_is_read_and_what_was_altered_is_not() {
        let text = sign(&claims(), "secret").unwrap();
        // The head says the algorithm: {"typ":"JWT","alg":"HS256"}.
        assert!(text.starts_with("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9."), "{text}");
        assert_eq!(verify(&text, "secret").map(|claims| (claims.sub, claims.exp)).unwrap(), ("s".into(), 2));
        assert!(verify(&text, "other").is_err());
        for at in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            // The last letter has two bits that mean nothing, which strict base64 refuses as well.
            assert!(verify(&altered, "secret").is_err(), "letter {at}");
        }
        let foreign = Claims { iss: "somebody".into(), ..claims() };
        assert!(verify(&sign(&foreign, "secret").unwrap(), "secret").is_err());
    }

    #[test]
    fn no_other_algorithm_is_read() {
        let text = sign(&claims(), "secret").unwrap();
        let (_, rest) = text.split_once('.').unwrap();
        let (payload, _) = rest.split_once('.').unwrap();
        // {"alg":"none"} without a signature, and {"alg":"HS384"}, {"alg":"RS256"} with one.
        for head in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzM4NCJ9", "eyJhbGciOiJSUzI1NiJ9"] {
            assert!(verify(&format!("{head}.{payload}."), "secret").is_err(), "{head}");
            assert!(verify(&format!("{head}.{rest}"), "secret").is_err(), "{head}");
        }
        for junk in ["", ".", "..", "a.b.c", "tsk_0"] {
            assert!(verify(junk, "secret").is_err(), "{junk}");
        }
    }
}
