"""What uploads promise: a file is there as a whole or not at all, and what was interrupted goes on."""

from __future__ import annotations

import pytest

from portside.storage.contract import Denied, IsDirectory, NoSuchFile, Storage, StorageFailed, Withdrawn
from portside.testing.storage.trees import KEEP_S, Clock, Fixtures, MakeStorage, entries, get, interrupt, put, tree


class UploadContract(Fixtures):
    def test_a_file_is_there_when_it_is_whole(self, storage: Storage) -> None:
        upload = storage.upload("/f")
        assert upload.offset == 0
        upload.file.write(b"con")
        upload.file.write(b"tent")
        assert entries(storage) == {}
        with pytest.raises(NoSuchFile):
            storage.stat("/f")
        entry = upload.commit()
        assert entry == storage.stat("/f")
        assert tree(storage) == {"/f": b"content"}
        assert storage.interrupted_bytes("/f") is None

    def test_the_old_content_stays_until_then(self, storage: Storage) -> None:
        put(storage, "/f", b"old")
        storage.set_mode("/f", 0o640)
        for offset in (0, 2, None):
            upload = storage.upload("/f", offset=offset)
            upload.file.write(b"new")
            assert tree(storage) == {"/f": b"old"}
            upload.abandon()
            upload.abandon()
            assert tree(storage) == {"/f": b"old"}
        assert storage.usage_bytes() == 3
        put(storage, "/f", b"new")
        assert tree(storage) == {"/f": b"new"}
        assert storage.stat("/f").mode == 0o640

    def test_what_begins_without_waiting_is_an_upload_like_any_other(self, storage: Storage) -> None:
        put(storage, "/f", b"old")
        storage.set_mode("/f", 0o640)
        upload = storage.upload_nowait("/f")
        if upload is not None:
            upload.file.write(b"new")
            assert tree(storage) == {"/f": b"old"}
            assert upload.commit() == storage.stat("/f")
            assert tree(storage) == {"/f": b"new"}
            assert storage.stat("/f").mode == 0o640

    def test_a_read_only_file_is_replaced_and_stays_read_only(self, storage: Storage) -> None:
        put(storage, "/f", b"old")
        storage.set_mode("/f", 0o444)
        interrupt(storage, "/f", b"new")
        upload = storage.upload("/f", offset=3)
        upload.file.write(b"er")
        assert upload.commit().mode == 0o444
        assert get(storage, "/f") == b"newer"

    def test_an_ended_upload_is_not_committed_again(self, storage: Storage) -> None:
        upload = storage.upload("/f")
        upload.commit()
        with pytest.raises(StorageFailed):
            upload.commit()
        upload.abandon()
        assert tree(storage) == {"/f": b""}

    def test_an_upload_can_be_withdrawn_to_the_last_moment(self, storage: Storage) -> None:
        put(storage, "/f", b"old")
        upload = storage.upload("/f")
        upload.file.write(b"newer")
        with pytest.raises(Withdrawn):
            upload.commit(is_withdrawn=lambda: True)
        assert tree(storage) == {"/f": b"old"}
        upload.abandon(keep=True)
        assert storage.interrupted_bytes("/f") == 5
        upload = storage.upload("/f", offset=5)
        assert upload.commit(is_withdrawn=lambda: False).size_bytes == 5
        assert tree(storage) == {"/f": b"newer"}

    @pytest.mark.parametrize("offset", [1, 4, 7])
    def test_an_interrupted_upload_goes_on(self, storage: Storage, offset: int) -> None:
        interrupt(storage, "/f", b"0123456")
        assert storage.interrupted_bytes("/f") == 7
        assert entries(storage) == {}
        assert storage.usage_bytes() == 7
        upload = storage.upload("/f", offset=offset)
        assert upload.offset == offset == upload.file.tell()
        assert storage.interrupted_bytes("/f") is None
        upload.file.write(b"+")
        upload.commit()
        assert tree(storage) == {"/f": b"0123456"[:offset] + b"+"}
        assert storage.interrupted_bytes("/f") is None

    def test_an_interrupted_upload_is_interrupted_again(self, storage: Storage) -> None:
        interrupt(storage, "/f", b"0123")
        upload = storage.upload("/f", offset=4)
        upload.file.write(b"45")
        upload.abandon(keep=True)
        assert storage.interrupted_bytes("/f") == 6
        with pytest.raises(Denied):
            storage.upload("/f", offset=7)
        assert storage.interrupted_bytes("/f") == 6
        interrupt(storage, "/f", b"new")
        assert storage.interrupted_bytes("/f") == 3
        storage.upload("/f").abandon()
        assert storage.interrupted_bytes("/f") is None
        assert storage.usage_bytes() == 0

    def test_nothing_is_kept_of_an_upload_without_bytes(self, storage: Storage) -> None:
        interrupt(storage, "/f", b"")
        assert storage.interrupted_bytes("/f") is None

    def test_appending(self, storage: Storage) -> None:
        for start, content in [(0, b"01"), (2, b"23"), (4, b"")]:
            upload = storage.upload("/f", offset=None)
            assert upload.offset == start == upload.file.tell()
            upload.file.write(content)
            upload.commit()
        assert tree(storage) == {"/f": b"0123"}
        interrupt(storage, "/g", b"01")
        upload = storage.upload("/g", offset=None)
        assert upload.offset == 2
        upload.file.write(b"2")
        upload.commit()
        assert get(storage, "/g") == b"012"

    def test_appending_is_to_the_file_and_not_to_what_was_to_replace_it(self, storage: Storage) -> None:
        put(storage, "/f", b"file")
        interrupt(storage, "/f", b"interrupted")
        upload = storage.upload("/f", offset=None)
        upload.file.write(b"!")
        upload.commit()
        assert tree(storage) == {"/f": b"file!"}

    def test_going_on_behind_a_part_of_the_file(self, storage: Storage) -> None:
        put(storage, "/f", b"0123456789")
        interrupt(storage, "/f", b"ab")
        for offset, start in [(2, b"ab"), (5, b"01234"), (7, b"01234!!")]:
            upload = storage.upload("/f", offset=offset)
            assert upload.file.tell() == offset
            upload.file.write(b"!!")
            upload.abandon(keep=offset == 5)
            assert get(storage, "/f") == b"0123456789", start
        upload = storage.upload("/f", offset=3)
        upload.file.write(b"!")
        upload.commit()
        assert get(storage, "/f") == b"012!"
        with pytest.raises(Denied, match="only 4 bytes"):
            storage.upload("/f", offset=5)
        with pytest.raises(Denied, match="only 0 bytes"):
            storage.upload("/g", offset=1)
        assert storage.usage_bytes() == 4

    def test_two_uploads_at_once_do_not_share(self, storage: Storage) -> None:
        first, second = storage.upload("/f"), storage.upload("/f")
        first.file.write(b"first")
        second.file.write(b"second one")
        assert second.commit().size_bytes == 10
        assert get(storage, "/f") == b"second one"
        with pytest.raises(Denied):
            storage.upload("/f", offset=11)  # the first one's bytes are not to be gone on with
        assert first.commit().size_bytes == 5
        assert tree(storage) == {"/f": b"first"}
        assert storage.usage_bytes() == 5

    def test_of_two_interrupted_at_once_the_first_is_kept(self, storage: Storage) -> None:
        first, second = storage.upload("/f"), storage.upload("/f")
        first.file.write(b"first")
        second.file.write(b"second one")
        first.abandon(keep=True)
        second.abandon(keep=True)
        assert storage.interrupted_bytes("/f") == 5
        assert storage.usage_bytes() == 5

    def test_one_that_is_withdrawn_at_the_last_moment_leaves_the_old_file_and_can_be_resumed(
        self, storage: Storage
    ) -> None:
        put(storage, "/f", b"old")
        upload = storage.upload("/f")
        upload.file.write(b"new")
        with pytest.raises(Withdrawn):
            upload.commit(is_withdrawn=lambda: True)
        upload.abandon(keep=True)
        assert tree(storage) == {"/f": b"old"}
        assert storage.interrupted_bytes("/f") == 3
        again = storage.upload("/f", offset=3)
        again.commit(is_withdrawn=lambda: False)
        assert tree(storage) == {"/f": b"new"}

    def test_where_nothing_can_be_uploaded(self, storage: Storage) -> None:
        storage.make_directory("/d")
        put(storage, "/f")
        for path, error in [("/d", IsDirectory), ("/", IsDirectory), ("/x/y", NoSuchFile), ("/f/x", NoSuchFile)]:
            for offset in (0, None, 5):
                with pytest.raises(error):
                    storage.upload(path, offset=offset)
        assert tree(storage) == {"/d": None, "/f": b""}

    def test_a_name_that_was_taken_by_a_directory_meanwhile(self, storage: Storage) -> None:
        upload = storage.upload("/f")
        upload.file.write(b"content")
        storage.make_directory("/f")
        with pytest.raises(IsDirectory):
            upload.commit()
        assert tree(storage) == {"/f": None}
        assert storage.usage_bytes() == 0


class KeepingContract(Fixtures):
    def test_an_interrupted_upload_is_kept_for_a_while(self, storage: Storage, clock: Clock) -> None:
        interrupt(storage, "/f", b"0123")
        clock.ahead_s = KEEP_S - 60
        assert entries(storage) == {}
        assert storage.interrupted_bytes("/f") == 4
        clock.ahead_s = KEEP_S
        assert storage.interrupted_bytes("/f") is None
        with pytest.raises(Denied):
            storage.upload("/f", offset=4)
        assert entries(storage) == {}
        assert storage.usage_bytes() == 0
        clock.ahead_s = 0
        assert storage.interrupted_bytes("/f") is None

    def test_another_upload_to_the_directory_removes_it(self, storage: Storage, clock: Clock) -> None:
        interrupt(storage, "/f", b"0123")
        clock.ahead_s = KEEP_S
        storage.upload("/g").abandon()
        assert storage.usage_bytes() == 0

    def test_an_upload_that_goes_on_is_never_removed(self, storage: Storage, clock: Clock) -> None:
        first, second = storage.upload("/f"), storage.upload("/f")
        first.file.write(b"0123")
        second.file.write(b"45")
        clock.ahead_s = KEEP_S * 2
        assert entries(storage) == {}
        put(storage, "/g")
        first.commit()
        assert get(storage, "/f") == b"0123"
        second.commit()
        assert get(storage, "/f") == b"45"

    def test_nothing_is_kept_where_that_is_wanted(self, make: MakeStorage, clock: Clock) -> None:
        storage = make(keep_s=0, now_s=clock)
        interrupt(storage, "/f", b"0123")
        assert storage.interrupted_bytes("/f") is None
        assert storage.usage_bytes() == 0
        upload = storage.upload("/f")
        upload.file.write(b"0123")
        entries(storage)
        upload.commit()
        assert tree(storage) == {"/f": b"0123"}
