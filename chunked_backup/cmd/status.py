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

"""``chunked-backup-status upgrade check``: is all ready for this release?

Run it with the new code before services and timers use it, as with other
OpenStack projects. It changes nothing. The exit code is 0 if so, 1 if there is
something to look at, 2 if it would not work, 255 if it could not tell.
"""

import importlib.metadata
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

from chunked_backup import errors
from chunked_backup import loader
from chunked_backup import opts
from chunked_backup.cmd import base
from chunked_backup.model import Status

_SUCCESS = upgradecheck.Result(upgradecheck.Code.SUCCESS)
_NAMESPACE = 'chunked_backup'


class Checks(upgradecheck.UpgradeCommands):
    """What is checked, in this order."""

    def options(self) -> upgradecheck.Result:
        """Each option in the files is known, and each value one."""
        known = {group.name: options for group, options in _options()}
        for group, options in _options():
            cfg.CONF.register_group(group)
            cfg.CONF.register_opts(options, group=group)
            for option in options:
                try:
                    cfg.CONF[group.name][option.dest]
                except (cfg.Error, ValueError) as exc:
                    return _failure(exc)
        unknown = [text for path in cfg.CONF.config_file or []
                   for text in _unknown(path, known)]
        return _warning('; '.join(unknown)) if unknown else _SUCCESS

    def driver(self) -> upgradecheck.Result:
        """It is installed, with its libraries."""
        try:
            loader.load(loader.DRIVERS, cfg.CONF.chunked_backup.driver)
        except errors.ChunkedBackupError as exc:
            return _failure(exc)
        return _SUCCESS

    def repository(self) -> upgradecheck.Result:
        """It can be reached and used."""
        try:
            _driver().check_for_setup_error()
        except (errors.ChunkedBackupError, cfg.Error) as exc:
            return _failure(exc)
        return _SUCCESS

    def records(self) -> upgradecheck.Result:
        """Each can be read, and nothing is unfinished."""
        from chunked_backup.hosts.standalone.kinds import kinds

        problems: list[str] = []
        try:
            for catalogue, _ in kinds(_driver()):
                problems += _of_records(catalogue)
        except (errors.ChunkedBackupError, cfg.Error) as exc:
            return _failure(exc)
        return _warning('; '.join(problems)) if problems else _SUCCESS

    _upgrade_checks = (
        ('Options', options),
        ('Driver', driver),
        ('Repository', repository),
        ('Records', records),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check; see above for the exit codes."""
    conf = cfg.CONF
    opts.register(conf)
    conf.register_opt(base.STATE_PATH)
    try:
        return int(upgradecheck.main(
            conf, 'chunked_backup', Checks(),
            list(sys.argv[1:] if argv is None else argv)))
    except cfg.Error as exc:
        print(f'chunked-backup-status: {opts.problem(exc)}', file=sys.stderr)
    return 255


def _driver() -> Any:
    from chunked_backup.hosts.standalone.host import StandaloneHost

    driver = loader.load(loader.DRIVERS,
                         cfg.CONF.chunked_backup.driver)(None)
    driver.host = StandaloneHost(driver)
    return driver


def _options() -> Iterator[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """All that this project reads, and drivers from outside that list
    theirs, by group."""
    for entry_point in importlib.metadata.entry_points(
            group='oslo.config.opts'):
        if entry_point.name.partition('.')[0] == _NAMESPACE:
            yield from entry_point.load()()


def _unknown(path: str, known: dict[str, list[cfg.Opt]]) -> Iterator[str]:
    """What a file sets for this project that nobody reads."""
    sections: dict[str, dict[str, list[str]]] = {}
    cfg.ConfigParser(path, sections).parse()
    for section, values in sections.items():
        if section in known:
            names = {name for option in known[section]
                     for name in (option.name, option.dest)}
            yield from (f'{path}: [{section}] {name} is no option'
                        for name in values if name not in names)
        elif (section.startswith(f'{_NAMESPACE}_')
              and section.removeprefix(f'{_NAMESPACE}_')
              not in loader.names(loader.DRIVERS)):
            yield f'{path}: [{section}] is of no driver that is installed'


def _of_records(catalogue: Any) -> Iterator[str]:
    for backup_id in catalogue.ids():
        try:
            backup = catalogue.load(backup_id)
        except errors.CorruptBackup as exc:
            yield str(exc)
            continue
        except errors.BackupNotFound:
            continue  # deleted just now
        if backup.status in (Status.CREATING, Status.DELETING):
            yield (f'backup {backup_id} has the status "{backup.status}": '
                   'have it end, or its writer was killed and '
                   'chunked-backup repository gc removes it')


def _warning(text: str) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.WARNING, text)


def _failure(error: Exception) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.FAILURE, opts.problem(error))
