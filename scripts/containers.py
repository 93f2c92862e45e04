"""What the tests with containers share: test-containers and test-compose."""
import os
import shutil
import socket
import subprocess
import time

HOME = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
CACHE = os.path.join(HOME, ".build/containers")
# No name of a sample is to be filed under English.
LANGUAGES = "eng:eng|english|en,fra:french|fr|fra|fre,ara:ara|arabic|ar,amh:am|amh,ben:bn|ben,khm:km|khm,kan:kn|kan,spa:es|spa"
NEEDED_SPACE = 6_000_000_000
began = time.time()


class Wrong(Exception):
  """Something is not as it must be."""


def say(text):
  print(f"[{time.time() - began:6.1f}] {text}", flush=True)


def skip(text):
  say(f"SKIPPED  {text}")


def output(command, check=True, **more):
  done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
  if check and done.returncode != 0:
    raise Wrong(f"{' '.join(command[:6])} ... ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-1500:]}")
  return done.stdout.strip()


def free_port(taken=set()):
  while True:
    with socket.socket() as probe:
      probe.bind(("127.0.0.1", 0))
      port = probe.getsockname()[1]
    if port not in taken:
      taken.add(port)
      return port


def wait_until(what, is_true, seconds=180, step=0.05):
  end = time.time() + seconds
  while time.time() < end:
    if is_true():
      return
    time.sleep(step)
  raise Wrong(f"not within {seconds} s: {what}")


def lack_of_space():
  """What to say where this disk has not the space that images need."""
  free = shutil.disk_usage(HOME).free
  return None if free >= NEEDED_SPACE else f"{free / 1e9:.1f} GB are free on this disk, {NEEDED_SPACE / 1e9:.0f} are needed"


def lack_of_podman():
  """What to say where podman does not run. Images and settings are our own: nothing of this machine's is changed."""
  if not (shutil.which("podman") and shutil.which("buildah")):
    return "there is no podman with buildah (scripts/setup podman buildah runc conmon catatonit)"
  os.makedirs(CACHE, exist_ok=True)
  with open(f"{CACHE}/storage.conf", "w") as file:
    file.write(f'[storage]\ndriver = "overlay"\ngraphroot = "{CACHE}/storage"\nrunroot = "{CACHE}/run"\n')
  with open(f"{CACHE}/containers.conf", "w") as file:
    file.write('[containers]\ndefault_ulimits = ["nofile=16384:16384", "nproc=16384:16384"]\nnetns = "host"\n'
               '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "runc"\n')
  os.environ["CONTAINERS_STORAGE_CONF"], os.environ["CONTAINERS_CONF"] = f"{CACHE}/storage.conf", f"{CACHE}/containers.conf"
  done = subprocess.run(["podman", "info"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
  return None if done.returncode == 0 else f"podman cannot run here: {done.stderr.strip()[-300:]}"


def commit_of(folder):
  """The last commit that changed what goes into an image: another test or page needs no new one."""
  return output(["git", "-C", folder, "log", "-1", "--format=%h", "--abbrev=12", "--", "Sources", "Package.swift", "stages", "routes.yaml",
                 "deploy/settings", "deploy/image"])


def built_image(folder=HOME, tag=None, where=None):
  """The image of a folder, built once for each commit."""
  name = f"localhost/regproc-test:{tag or commit_of(folder)}"
  if subprocess.run(["podman", "image", "exists", name]).returncode == 0:
    say(f"image {name} (built before)")
    return name
  say(f"building {name}; a first time takes minutes")
  libraries = f"{HOME}/.build/image/libraries"
  more = ["--libraries", libraries] if os.path.isdir(libraries) else []
  subprocess.run(["nice", "-n", "5", "deploy/image/build", "--tag", name, "--output", where or f"{HOME}/.build/image"] + more,
                 cwd=folder, check=True)
  return name


def podman_storage_left():
  """podman leaves its folder mounted on itself, which would stand in the way of `make clean`."""
  if not output(["podman", "ps", "-aq"], check=False):
    output(["umount", f"{CACHE}/storage/overlay"], check=False)
