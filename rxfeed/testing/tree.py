"""What lies on a simulated disk: files and names as they are seen, and as a crash leaves them."""

from __future__ import annotations

import errno
from pathlib import PurePosixPath
from random import Random

from rxfeed.testing.faultydisk import os_error


class Inode:
    """A file's bytes, and how much of them a crash leaves."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.certain = 0
        self.before: bytes | None = None  # what a crash brings back, as long as it is not certain that it was cut off
        self.doubtful = False  # a sync has failed

    def cut_off(self, size: int) -> None:
        """Keep the first bytes only; a crash brings the others back until `settle`."""
        if self.before is None and size < self.certain:
            self.before = bytes(self.data[: self.certain])
        del self.data[size:]
        self.certain = min(self.certain, size)

    def settle(self, size: int) -> None:
        """What a sync that began with `size` bytes has made certain."""
        if not self.doubtful:
            self.before = None
            self.certain = max(self.certain, min(size, len(self.data)))

    def crash(self, torn: Random | None) -> None:
        """Lose what is not certain, or as much of it as `torn` says."""
        before, self.before = self.before, None
        if before is not None and (torn is None or torn.random() < 0.5):
            self.data, self.certain = bytearray(before), len(before)
        else:
            more = 0 if torn is None else torn.randint(0, len(self.data) - self.certain)
            del self.data[self.certain + more :]
            self.certain = len(self.data)
        self.doubtful = False


class Tree:
    """Files and folders by name. Its questions raise `OSError` as an operating system does."""

    def __init__(self) -> None:
        self.files: dict[PurePosixPath, Inode] = {}
        self.folders: dict[PurePosixPath, None] = {PurePosixPath("/"): None}
        self._kept: dict[PurePosixPath, Inode] = {}
        self._kept_folders = dict(self.folders)

    @property
    def used(self) -> int:
        """How many bytes all files hold."""
        return sum(len(inode.data) for inode in self.files.values())

    def crash(self, torn: Random | None) -> None:
        """Be as far as it is certain, or a little further as `torn` says."""
        self.files = dict(self._kept)
        self.folders = dict(self._kept_folders)
        for inode in self.files.values():
            inode.crash(torn)

    def keep(self, path: PurePosixPath, inode: Inode) -> None:
        """Make a new name certain, if it is still that file's."""
        if self.files.get(path) is inode:
            self._kept[path] = inode

    def keep_renamed(self, source: PurePosixPath, target: PurePosixPath, inode: Inode) -> None:
        """Make a name certain that was another."""
        self._kept.pop(source, None)
        self._kept[target] = inode

    def keep_removed(self, path: PurePosixPath) -> None:
        """Make certain that a name is gone."""
        self._kept.pop(path, None)

    def keep_folders(self, *folders: PurePosixPath) -> None:
        """Make folders certain."""
        self._kept_folders.update(dict.fromkeys(folders))

    def file(self, path: PurePosixPath) -> Inode:
        """Return a file that is there."""
        self.in_folder(path)
        self.no_folder(path)
        inode = self.files.get(path)
        if inode is None:
            raise os_error(errno.ENOENT, path)
        return inode

    def in_folder(self, path: PurePosixPath) -> None:
        """Make sure that the folder of a name is there."""
        self.no_file(*path.parents)
        if path.parent not in self.folders:
            raise os_error(errno.ENOENT, path)

    def no_file(self, *folders: PurePosixPath) -> None:
        """Make sure that no folder on the way is a file."""
        for folder in folders:
            if folder in self.files:
                raise os_error(errno.ENOTDIR, folder)

    def no_folder(self, path: PurePosixPath) -> None:
        """Make sure that a name is no folder's."""
        if path in self.folders:
            raise os_error(errno.EISDIR, path)

    def names(self, folder: PurePosixPath) -> list[str]:
        """Return the names in a folder, sorted."""
        if folder not in self.folders:
            self.no_file(folder, *folder.parents)
            raise os_error(errno.ENOENT, folder)
        return sorted(path.name for path in (*self.files, *self.folders) if path.parent == folder != path)
