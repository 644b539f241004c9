# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""What the POSIX driver does beyond what every driver promises."""

import contextlib
import errno
import os
import stat
import subprocess
import threading
from concurrent import futures

import pytest

from chunked_backup import errors
from chunked_backup.drivers import posix
from chunked_backup.testing import contract
from tests import support

ID = '0123abcd-4567-89ab-cdef-0123456789ab'
OWN = f'01/23/{ID}'
MIB = 1 << 20


@pytest.fixture
def repository(tmp_path):
    return tmp_path / 'repository'


@pytest.fixture
def driver(repository):
    driver = support.posix_driver(repository)
    driver.put_container(OWN)
    return driver


@pytest.fixture
def directory(driver, repository):
    return repository / OWN


def write(driver, name, data, container=OWN):
    with driver.get_object_writer(container, name) as writer:
        writer.write(data)


def read(driver, name, container=OWN):
    with driver.get_object_reader(container, name) as reader:
        return reader.read()


def tree(path):
    """Everything below a path: its kind, mode and content."""
    found = {}
    for parent, directories, files in os.walk(path):
        for name in directories + files:
            full = os.path.join(parent, name)
            mode = os.lstat(full).st_mode
            content = None
            if stat.S_ISREG(mode):
                with open(full, 'rb') as file:
                    content = file.read()
            found[os.path.relpath(full, path)] = (mode, content)
    return found


# Modes and places.

@pytest.fixture
def umask(request):
    old = os.umask(request.param)
    yield request.param
    os.umask(old)


@pytest.mark.parametrize('umask', [0o000, 0o022, 0o027, 0o077],
                         indirect=True)
def test_modes_are_cinders_whatever_the_umask(umask, repository):
    driver = support.posix_driver(repository)
    driver.put_container(OWN)
    write(driver, 'object', b'')

    def mode(path):
        return stat.S_IMODE(os.stat(repository / path).st_mode)

    assert mode(f'{OWN}/object') == 0o660
    assert mode(OWN) == 0o770
    assert mode('01') == mode('01/23') == 0o777 & ~umask


def test_putting_a_container_again_leaves_its_mode(driver, directory):
    os.chmod(directory, 0o700)
    driver.put_container(OWN)
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700


def test_a_backup_gets_a_container_of_its_own(driver):
    backup = contract.new_backup(id=ID)
    assert driver.update_container_name(backup, None) == OWN


def test_a_container_that_was_asked_for_is_taken(driver):
    backup = contract.new_backup(id=ID)
    assert driver.update_container_name(backup, 'a/b') == 'a/b'
    support.override('chunked_backup_posix', container='by-option')
    assert driver.update_container_name(backup, None) == 'by-option'


def test_names_are_those_of_cinder(driver):
    prefix = driver._generate_object_name_prefix(
        contract.new_backup(id=ID, volume_id='the-volume'))
    head, time, tail = prefix[:18], prefix[18:32], prefix[32:]
    assert (head, tail) == ('volume_the-volume_', f'_backup_{ID}')
    assert time.isdigit()


# Writing.

class Recorder:
    """Records calls of the system by which a file gets durable."""

    def __init__(self, monkeypatch):
        self.calls = []
        for name in ('open', 'write', 'fchmod', 'fsync', 'close', 'rename',
                     'link', 'unlink'):
            monkeypatch.setattr(os, name, self._recorded(name,
                                                         getattr(os, name)))

    def _recorded(self, name, function):
        def call(*arguments, **keywords):
            kind = ''
            if name in ('fsync', 'close', 'write', 'fchmod'):
                mode = os.fstat(arguments[0]).st_mode
                kind = ' directory' if stat.S_ISDIR(mode) else ' file'
            elif name == 'open' and arguments[1] & os.O_CREAT:
                kind = ' new'
            elif name == 'open':
                return function(*arguments, **keywords)
            if (name, kind) != ('close', ' directory'):
                self.calls.append(name + kind)
            return function(*arguments, **keywords)
        return call


def test_a_file_is_synced_before_it_is_renamed_and_its_directory_after(
        driver, monkeypatch):
    recorder = Recorder(monkeypatch)
    write(driver, 'object', b'data')
    monkeypatch.undo()
    assert recorder.calls == [
        'open new', 'write file', 'fchmod file', 'fsync file', 'close file',
        'rename', 'fsync directory']


def test_a_new_container_is_synced_into_its_parent(repository, monkeypatch):
    driver = support.posix_driver(repository)
    driver.put_container('a')
    recorder = Recorder(monkeypatch)
    driver.put_container('a/b/c')
    monkeypatch.undo()
    assert recorder.calls == ['fsync directory', 'fchmod directory',
                              'fsync directory']


def test_a_file_has_a_temporary_name_until_it_is_whole(driver, directory):
    with driver.get_object_writer(OWN, 'object') as writer:
        writer.write(b'data')
        [name] = os.listdir(directory)
        assert name.startswith('.') and name.endswith('.tmp')
        assert list(driver.get_container_entries(OWN, '')) == []
        with pytest.raises(errors.InvalidName):
            read(driver, name)
    assert os.listdir(directory) == ['object']


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt,
                                   SystemExit])
def test_an_exception_leaves_no_temporary_file(driver, directory, error):
    with pytest.raises(error):
        with driver.get_object_writer(OWN, 'object') as writer:
            writer.write(b'data')
            raise error()
    assert os.listdir(directory) == []


@pytest.mark.parametrize('call', ['write', 'fchmod', 'fsync', 'rename'])
@pytest.mark.parametrize('code, expected', [
    (errno.ENOSPC, errors.OutOfSpace), (errno.EDQUOT, errors.OutOfSpace),
    (errno.EIO, errors.DriverError), (errno.EROFS, errors.AccessDenied),
    (errno.EACCES, errors.AccessDenied), (errno.EPERM, errors.AccessDenied),
    (errno.ESTALE, errors.TransientDriverError),
    (errno.ETIMEDOUT, errors.TransientDriverError)])
def test_a_failing_call_is_classified_and_leaves_the_older_object(
        driver, directory, monkeypatch, call, code, expected):
    write(driver, 'object', b'older')

    def fail(*arguments, **keywords):
        raise OSError(code, os.strerror(code))

    with pytest.raises(errors.DriverError) as caught:
        with driver.get_object_writer(OWN, 'object') as writer:
            monkeypatch.setattr(os, call, fail)
            writer.write(b'data')
    monkeypatch.undo()
    assert type(caught.value) is expected
    assert caught.value.object_name == 'object'
    assert os.strerror(code) in str(caught.value)
    assert tree(directory) == {'object': (stat.S_IFREG | 0o660, b'older')}


def test_an_error_of_close_comes_before_the_object_appears(
        driver, directory, monkeypatch):
    """As NFS reports a quota."""
    real_close = os.close

    def close(descriptor):
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        real_close(descriptor)
        if is_file:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    with pytest.raises(errors.OutOfSpace):
        with driver.get_object_writer(OWN, 'object') as writer:
            writer.write(b'data')
            monkeypatch.setattr(os, 'close', close)
    monkeypatch.undo()
    assert os.listdir(directory) == []


def test_an_error_while_cleaning_up_does_not_hide_the_first(
        driver, monkeypatch):
    def fail(*arguments, **keywords):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(ZeroDivisionError):
        with driver.get_object_writer(OWN, 'object'):
            monkeypatch.setattr(os, 'unlink', fail)
            raise ZeroDivisionError()


def test_a_short_write_is_continued(driver, monkeypatch):
    real_write = os.write
    monkeypatch.setattr(os, 'write', lambda descriptor, data: real_write(
        descriptor, data[:3]))
    write(driver, 'object', b'0123456789')
    monkeypatch.undo()
    assert read(driver, 'object') == b'0123456789'


def test_a_file_that_lost_bytes_is_not_committed(driver, directory):
    with pytest.raises(errors.DriverError, match=f'{MIB} bytes were written, '
                                                 'the file has 2'):
        with driver.get_object_writer(OWN, 'object') as writer:
            writer.write(bytes(MIB))  # as much as is written out at once
            [name] = os.listdir(directory)
            os.truncate(directory / name, 2)
    assert os.listdir(directory) == []


def test_a_container_that_vanishes_is_no_missing_object(driver, directory):
    with pytest.raises(errors.ContainerNotFound):
        with driver.get_object_writer(OWN, 'object') as writer:
            writer.write(b'data')
            [name] = os.listdir(directory)
            os.unlink(directory / name)
            os.rmdir(directory)


# Committing.

def commit(driver, name, data, container=OWN):
    with driver.get_exclusive_writer(container, name) as writer:
        writer.write(data)


def test_one_of_several_exclusive_writers_wins(driver, directory):
    together = threading.Barrier(8)

    def work(number):
        together.wait()
        try:
            commit(driver, name, b'%d' % number)
        except errors.ObjectExists:
            return None
        return b'%d' % number

    for turn in range(50):
        name = f'object{turn}'
        with futures.ThreadPoolExecutor(8) as pool:
            winner, = filter(None, pool.map(work, range(8)))
        assert read(driver, name) == winner
    assert len(os.listdir(directory)) == 50


def test_an_exclusive_writer_is_synced_as_others_are(driver, monkeypatch):
    recorder = Recorder(monkeypatch)
    commit(driver, 'object', b'data')
    monkeypatch.undo()
    assert recorder.calls == [
        'open new', 'write file', 'fchmod file', 'fsync file', 'close file',
        'link', 'unlink', 'fsync directory']


def test_a_link_in_the_place_of_an_object_is_an_object_that_exists(
        driver, directory):
    os.symlink('nowhere', directory / 'object')
    with pytest.raises(errors.ObjectExists):
        commit(driver, 'object', b'data')
    assert os.listdir(directory) == ['object']


def test_an_nfs_link_that_was_answered_twice_is_no_other_writer(
        driver, directory, monkeypatch):
    real_link = os.link

    def link(*arguments, **keywords):
        real_link(*arguments, **keywords)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    monkeypatch.setattr(os, 'link', link)
    commit(driver, 'object', b'data')
    monkeypatch.undo()
    assert tree(directory) == {'object': (stat.S_IFREG | 0o660, b'data')}


@pytest.mark.parametrize('code', [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_links_refuses_what_was_there_before(
        driver, directory, monkeypatch, code):
    def link(*arguments, **keywords):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, 'link', link)
    commit(driver, 'object', b'first')
    with pytest.raises(errors.ObjectExists):
        commit(driver, 'object', b'second')
    monkeypatch.undo()
    assert tree(directory) == {'object': (stat.S_IFREG | 0o660, b'first')}


@pytest.mark.parametrize('code, expected', [
    (errno.ENOSPC, errors.OutOfSpace), (errno.EROFS, errors.AccessDenied),
    (errno.EIO, errors.DriverError),
    (errno.ESTALE, errors.TransientDriverError)])
def test_a_link_that_fails_is_classified_and_leaves_nothing(
        driver, directory, monkeypatch, code, expected):
    def link(*arguments, **keywords):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, 'link', link)
    with pytest.raises(errors.DriverError) as caught:
        commit(driver, 'object', b'data')
    monkeypatch.undo()
    assert type(caught.value) is expected
    assert os.listdir(directory) == []


# Disks.

def test_a_full_disk_is_reported_and_shows_no_half_of_an_object(tmp_path):
    with mounted(tmp_path / 'disk', 'size=256k') as path:
        driver = support.posix_driver(path)
        driver.put_container(OWN)
        write(driver, 'older', b'older')
        for _ in range(3):  # nothing is lost of the space, either
            with pytest.raises(errors.OutOfSpace) as caught:
                write(driver, 'object', bytes(1 << 20))
            assert caught.value.object_name == 'object'
        assert list(driver.get_container_entries(OWN, '')) == ['older']
        assert os.listdir(path / OWN) == ['older']
        write(driver, 'smaller', bytes(1000))
        assert read(driver, 'smaller') == bytes(1000)


def test_a_backup_to_a_full_disk_leaves_nothing_of_itself(tmp_path):
    volume = tmp_path / 'volume'
    volume.write_bytes(os.urandom(300_000))
    with mounted(tmp_path / 'disk', 'size=200k') as path:
        service = support.service(support.posix_driver(path))
        with pytest.raises(errors.OutOfSpace):
            service.backup(str(volume))
        assert service.backups() == []
        assert [name for name, (mode, _) in tree(path).items()
                if stat.S_ISREG(mode)] == []


def test_a_read_only_disk_is_read_and_not_written(tmp_path):
    with mounted(tmp_path / 'disk', 'size=1m') as path:
        driver = support.posix_driver(path)
        driver.put_container(OWN)
        write(driver, 'object', b'data')
        subprocess.run(['mount', '-o', 'remount,ro', str(path)], check=True)
        assert read(driver, 'object') == b'data'
        assert list(driver.get_container_entries(OWN, '')) == ['object']
        for refused in (lambda: write(driver, 'object', b'other'),
                        lambda: driver.delete_object(OWN, 'object'),
                        lambda: driver.put_container('another'),
                        driver.check_for_setup_error):
            with pytest.raises(errors.AccessDenied):
                refused()


@contextlib.contextmanager
def mounted(path, options):
    path.mkdir()
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', options, 'tmpfs',
                           str(path)], capture_output=True)
    if done.returncode:
        pytest.fail(f'no tmpfs can be mounted, be root: {done.stderr}')
    try:
        yield path
    finally:
        subprocess.run(['umount', str(path)], check=True)


# A repository that is not there.

@pytest.fixture
def unmounted(repository):
    driver = support.posix_driver(repository)
    assert not repository.exists()
    return driver


@pytest.mark.parametrize('use', [
    lambda driver: list(driver.get_container_entries(OWN, '')),
    lambda driver: list(driver.get_containers()),
    lambda driver: driver.delete_object(OWN, 'object'),
    lambda driver: driver.discard_container(OWN),
    lambda driver: read(driver, 'object'),
    lambda driver: write(driver, 'object', b'')],
    ids=['list', 'list all', 'delete', 'discard', 'read', 'write'])
def test_without_a_repository_nothing_looks_deleted(unmounted, use):
    with pytest.raises(errors.RepositoryNotFound, match='is it mounted'):
        use(unmounted)


def test_a_backup_in_an_unmounted_repository_is_not_deleted(
        tmp_path, repository):
    volume = tmp_path / 'volume'
    volume.write_bytes(os.urandom(10_000))
    service = support.service(support.posix_driver(repository))
    backup = service.backup(str(volume))
    repository.rename(tmp_path / 'elsewhere')
    with pytest.raises(errors.RepositoryNotFound):
        service.driver.delete_backup(backup)
    (tmp_path / 'elsewhere').rename(repository)
    assert support.restored(service, backup) == volume.read_bytes()


def test_a_file_in_place_of_the_repository_is_refused(repository):
    repository.write_bytes(b'')
    driver = support.posix_driver(repository)
    with pytest.raises(errors.AccessDenied):
        list(driver.get_container_entries(OWN, ''))
    with pytest.raises(errors.DriverError):
        driver.check_for_setup_error()


# Symbolic links.

@pytest.fixture
def outside(tmp_path):
    outside = tmp_path / 'outside'
    outside.mkdir()
    (outside / 'object').write_bytes(b'of somebody else')
    return outside


def every_use(driver, container, name):
    """Do all that a driver can do, and collect how it was refused."""
    refusals = []
    for use in (lambda: driver.put_container(container),
                lambda: list(driver.get_container_entries(container, '')),
                lambda: read(driver, name, container),
                lambda: write(driver, name, b'escaped', container),
                lambda: driver.delete_object(container, name),
                lambda: driver.discard_container(container)):
        try:
            refusals.append(use())
        except errors.ChunkedBackupError as exc:
            refusals.append(type(exc))
    return refusals


@pytest.mark.parametrize('link', ['01', '01/23', OWN])
@pytest.mark.parametrize('inside', [False, True])
def test_a_link_in_place_of_a_directory_is_refused(
        repository, outside, link, inside):
    driver = support.posix_driver(repository)
    driver.put_container('elsewhere')
    target = repository / 'elsewhere' if inside else outside
    (repository / link).parent.mkdir(parents=True, exist_ok=True)
    rest = OWN[len(link):].lstrip('/')
    (target / rest).mkdir(parents=True, exist_ok=True)
    (target / rest / 'object').write_bytes(b'of somebody else')
    os.symlink(target, repository / link)
    before = tree(target)
    refusals = every_use(driver, OWN, 'object')
    assert refusals == [errors.AccessDenied] * len(refusals)
    assert tree(target) == before


@pytest.mark.parametrize('target', ['/etc', 'no/such/place', '.'])
def test_a_link_anywhere_is_refused_by_put_container(
        driver, repository, target):
    os.symlink(target, repository / 'link')
    for container in ('link', 'link/deeper'):
        with pytest.raises(errors.AccessDenied):
            driver.put_container(container)
    assert not os.path.lexists(os.path.join('/etc', 'deeper'))


def test_a_link_in_place_of_an_object_is_not_read(driver, directory, outside):
    os.symlink(outside / 'object', directory / 'object')
    with pytest.raises(errors.AccessDenied):
        read(driver, 'object')


def test_writing_replaces_a_link_and_not_its_target(
        driver, directory, outside):
    os.symlink(outside / 'object', directory / 'object')
    write(driver, 'object', b'mine')
    assert (outside / 'object').read_bytes() == b'of somebody else'
    assert not (directory / 'object').is_symlink()
    assert read(driver, 'object') == b'mine'


def test_deleting_removes_a_link_and_not_its_target(
        driver, directory, outside):
    os.symlink(outside / 'object', directory / 'object')
    driver.delete_object(OWN, 'object')
    assert (outside / 'object').read_bytes() == b'of somebody else'
    assert os.listdir(directory) == []


def test_the_repository_itself_may_be_a_link(tmp_path, repository):
    repository.mkdir()
    os.symlink(repository, tmp_path / 'link')
    driver = support.posix_driver(tmp_path / 'link')
    driver.put_container(OWN)
    write(driver, 'object', b'data')
    assert (repository / OWN / 'object').read_bytes() == b'data'


def test_what_is_no_file_is_not_read_and_does_not_hang(driver, directory):
    os.mkfifo(directory / 'pipe')
    (directory / 'directory').mkdir()
    for name in ('pipe', 'directory'):
        with pytest.raises(errors.AccessDenied, match='no regular file'):
            read(driver, name)


def test_a_directory_is_no_object(driver, directory):
    driver.put_container(f'{OWN}/inner_metadata')
    write(driver, 'object', b'')
    assert list(driver.get_container_entries(OWN, '')) == ['object']


# Names.

DOTS = ['..', '.', '../x', '../../x', '../../../x', '../../../../etc/passwd',
        'x/..', 'x/../..', 'x/../../y', './x', 'x/.', 'x/./y', '/..', '/.',
        '../', './', 'x/../', '..//', '...//..', '.. /../x', 'x/../x/../..']
SLASHES = ['/', '//', '/x', '//x', '///x', 'x/', 'x//', 'x//y', '/etc',
           '/etc/passwd', '/tmp', '/tmp/x', '//etc/passwd', '/x/', '/dev/null',
           '/proc/self/root', '/proc/self/cwd/x']
NULS = ['\0', 'x\0', '\0x', 'x\0y', '..\0', 'x/\0', 'x/\0/y', '/etc\0x']
NOT_TEXT = ['\ud800', 'x\udfff', '\udc2e\udc2e', '\udc2f', 'x/\udcff/y']
LONG = ['x' * 256, 'x' * 4097, 'é' * 128, '日' * 86, 'x' * 70_000,
        'y/' + 'x' * 256, 'x' * 256 + '/y']
ALWAYS_BAD = [''] + DOTS + SLASHES + NULS + NOT_TEXT + LONG
BAD_CONTAINERS = ALWAYS_BAD + [
    '/'.join(['x'] * 129), '/'.join(['deep'] * 1000), 'a/' * 200 + 'b',
    'ü' * 256]
BAD_OBJECTS = ALWAYS_BAD + [
    'x/y', 'a/b/c', '.hidden', '.x.tmp', '...', '. .', '..x', '.\n',
    'x' * 250 + '/y'] + [f'{name}/object' for name in DOTS + SLASHES]
HARMLESS = ['x', 'x..', 'x..y', '~', '~root', '$HOME', '$(id)', '`id`',
            'x;y', 'x|y', 'x y', '-rf', '--', '*', '?', '[x]', 'x\n', '\t',
            '\\', 'x\\..\\y', 'C:', '%2e%2e%2f', '%2f', '\u2024\u2024',
            '\uff0e\uff0e', '\u2215etc', '\u202e', 'e\u0301', '😀', 'x' * 255,
            'CON', 'nul', '\x7f', '\x01', '"', "'", '&', '#']


def test_there_are_more_than_a_hundred_malicious_names():
    assert len(BAD_CONTAINERS) + len(BAD_OBJECTS) + len(HARMLESS) > 180


@pytest.mark.parametrize('name', BAD_CONTAINERS, ids=lambda name: ascii(
    name)[:40])
def test_a_container_name_that_could_escape_is_refused(
        driver, tmp_path, name):
    before = tree(tmp_path)
    refusals = every_use(driver, name, 'object')
    assert refusals == [errors.InvalidName] * len(refusals)
    if name:  # no name at all means that nothing was asked for
        with pytest.raises(errors.InvalidName):
            driver.update_container_name(contract.new_backup(), name)
    assert tree(tmp_path) == before


@pytest.mark.parametrize('name', BAD_OBJECTS, ids=lambda name: ascii(
    name)[:40])
def test_an_object_name_that_could_escape_is_refused(driver, tmp_path, name):
    before = tree(tmp_path)
    for use in (read, driver_delete, write_data):
        with pytest.raises(errors.InvalidName):
            use(driver, name)
    assert tree(tmp_path) == before


def driver_delete(driver, name):
    driver.delete_object(OWN, name)


def write_data(driver, name):
    write(driver, name, b'escaped')


@pytest.mark.parametrize('name', HARMLESS,
                         ids=lambda name: ascii(name)[:40])
def test_an_odd_name_stays_within_its_container(driver, tmp_path, repository,
                                                name):
    driver.put_container(name)
    write(driver, name, b'data', container=name)
    assert (repository / name / name).read_bytes() == b'data'
    assert list(driver.get_container_entries(name, '')) == [name]
    assert read(driver, name, container=name) == b'data'
    assert set(os.listdir(tmp_path)) == {'repository'}
    driver.delete_object(name, name)
    assert os.listdir(repository / name) == []


# Discarding containers.

def test_discarding_removes_leftovers_and_empty_parents(driver, repository,
                                                        directory):
    (directory / '.0123456789abcdef.tmp').write_bytes(b'left by a crash')
    driver.discard_container(OWN)
    assert os.listdir(repository) == []


def test_discarding_keeps_objects_and_other_files(driver, repository,
                                                  directory):
    (directory / '.0123456789abcdef.tmp').write_bytes(b'left by a crash')
    (directory / '.notes').write_bytes(b'of an operator')
    write(driver, 'object', b'data')
    driver.discard_container(OWN)
    assert sorted(os.listdir(directory)) == ['.notes', 'object']


def test_discarding_keeps_a_parent_that_others_use(driver, repository):
    other = '01/23/0123ffff-4567-89ab-cdef-0123456789ab'
    driver.put_container(other)
    write(driver, 'object', b'data', container=other)
    driver.discard_container(OWN)
    assert read(driver, 'object', container=other) == b'data'
    assert not (repository / OWN).exists()


def test_discarding_what_is_gone_is_fine(driver, repository):
    driver.discard_container(OWN)
    driver.discard_container(OWN)
    assert os.listdir(repository) == []


def test_discarding_a_shared_container_leaves_the_writers_of_others(driver):
    driver.put_container('shared')
    with driver.get_object_writer('shared', 'object') as writer:
        writer.write(b'data')
        driver.discard_container('shared')
    assert read(driver, 'object', container='shared') == b'data'


def test_discarding_a_shared_container_leaves_it_to_who_comes_next(driver):
    driver.put_container('shared')
    driver.discard_container('shared')
    write(driver, 'object', b'data', container='shared')
    assert read(driver, 'object', container='shared') == b'data'


def test_deletions_next_door_do_not_disturb_new_containers(driver,
                                                           repository):
    """Containers below the same two parents come and go in threads."""
    failures = []

    def work(number):
        container = f'01/23/0123{number:04x}-4567-89ab-cdef-0123456789ab'
        try:
            for turn in range(60):
                driver.put_container(container)
                write(driver, 'object', b'%d' % turn, container=container)
                assert read(driver, 'object',
                            container=container) == b'%d' % turn
                driver.delete_object(container, 'object')
                driver.discard_container(container)
        except Exception as exc:
            failures.append(exc)

    driver.discard_container(OWN)
    threads = [threading.Thread(target=work, args=(number,))
               for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert os.listdir(repository) == []


def test_discarding_one_container_twice_at_once_is_fine(driver, repository):
    failures = []

    def work():
        try:
            for _ in range(60):
                driver.put_container(OWN)
                driver.discard_container(OWN)
        except Exception as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# Finding backups.

def test_containers_are_found_at_any_depth(driver, repository):
    driver.put_container('a')
    driver.put_container('b/c/d')
    for container in ('a', 'b/c/d', OWN):
        write(driver, 'object', b'', container=container)
    driver.put_container('empty')
    assert sorted(driver.get_containers()) == sorted(['a', 'b/c/d', OWN])


def test_stray_names_do_not_keep_backups_from_being_found(driver,
                                                          repository):
    write(driver, 'object', b'')
    for name in (b'no text \xff', b'lost+found'):
        stray = os.path.join(os.fsencode(repository), name)
        os.mkdir(stray)
        with open(os.path.join(stray, b'file'), 'wb'):
            pass
    (repository / 'a file beside the containers').write_bytes(b'')
    assert list(driver.get_containers()) == [OWN]


def test_a_missing_repository_has_no_containers_to_list(unmounted):
    with pytest.raises(errors.ChunkedBackupError):
        list(unmounted.get_containers())


# Reading.

@pytest.mark.parametrize('code, expected', [
    (errno.EIO, errors.DriverError),
    (errno.ESTALE, errors.TransientDriverError)])
def test_a_failing_read_is_classified(driver, monkeypatch, code, expected):
    write(driver, 'object', b'data')

    def fail(*arguments):
        raise OSError(code, os.strerror(code))

    with driver.get_object_reader(OWN, 'object') as reader:
        monkeypatch.setattr(os, 'read', fail)
        with pytest.raises(errors.DriverError) as caught:
            reader.read(10)
        monkeypatch.undo()
    assert type(caught.value) is expected


def test_no_descriptor_is_left_open(driver):
    write(driver, 'object', b'data')
    before = os.listdir('/proc/self/fd')
    read(driver, 'object')
    write(driver, 'object', b'data')
    driver.put_container('a/b/c')
    list(driver.get_container_entries(OWN, ''))
    for use in (lambda: read(driver, 'missing'),
                lambda: read(driver, 'x', 'no/such/container'),
                lambda: write(driver, 'x', b'', 'no/such/container')):
        with pytest.raises(errors.DriverError):
            use()
    with pytest.raises(ValueError):
        with driver.get_object_writer(OWN, 'object'):
            raise ValueError()
    assert os.listdir('/proc/self/fd') == before


def test_options_are_listed_for_the_sample_configuration():
    [(group, options)] = posix.list_opts()
    assert group.name == 'chunked_backup_posix'
    assert {option.name for option in options} == {
        'path', 'container', 'chunk_size_bytes', 'sha_block_size_bytes',
        'enable_progress_timer'}
