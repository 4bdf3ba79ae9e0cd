//! What the protocol costs on the wire stays within its bounds.

use xmpp_e2e_testkit::measure::sizes;

#[test]
fn within_bounds() {
    let over: Vec<_> = sizes::all().into_iter().filter(|size| !size.is_kept()).collect();
    assert_eq!(over, []);
}
