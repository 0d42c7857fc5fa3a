import stat

import pytest

from audits.identity.salt import SALT_BYTES, salt_at, salted
from governance.errors import Refused, Tampered


def test_a_salt_is_made_once_and_only_its_owner_reads_it(tmp_path):
    path = tmp_path / "keys" / "personal.salt"
    salt = salt_at(path)
    assert len(salt) == SALT_BYTES
    assert salt_at(path) == salt
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_once_it_is_erased_the_next_one_links_nothing(tmp_path):
    path = tmp_path / "personal.salt"
    before = salted(salt_at(path), "phone", "9876543210")
    path.unlink()
    assert salted(salt_at(path), "phone", "9876543210") != before


def test_a_salt_that_others_read_or_that_was_changed_is_refused(tmp_path):
    path = tmp_path / "personal.salt"
    salt_at(path)
    path.chmod(0o640)
    with pytest.raises(Refused, match="0640"):
        salt_at(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(Tampered, match="5 bytes"):
        salt_at(path)


def test_a_digest_is_the_hmac_that_others_compute():
    """openssl: printf 'phone:9876543210' | openssl dgst -sha256 -mac HMAC -macopt key:..."""
    digest = salted(b"k" * 32, "phone", "9876543210")
    assert digest == "phone:6110aedce24c8fcf3a1ec5a0adfa84c3"
