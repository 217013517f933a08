#!/usr/bin/env bash
# Installs what the build folder holds, or removes it again: one list of files serves both. Called by the Makefile, which
# gives BUILD, VERSION, DEPS, PREFIX, LIBDIR and DESTDIR. Man pages and completions are printed by lathe itself.
#
#   tools/install.sh install|uninstall
set -eu
verb=$1
: "${DESTDIR=}" "${LIBDIR:=$PREFIX/lib}"
include=$PREFIX/include
share=$PREFIX/share
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

put() { # MODE FILE TARGET
    if [ "$verb" = uninstall ]; then
        rm -f "$DESTDIR$3"
    else
        install -D -m "$1" "$2" "$DESTDIR$3"
    fi
}
link() { # NAME TARGET
    if [ "$verb" = uninstall ]; then rm -f "$DESTDIR$2"; else ln -sf "$1" "$DESTDIR$2"; fi
}

# What a program needs to compile and link against lathe, in pkg-config's words and in CMake's.
cat >"$made/lathe.pc" <<END
prefix=$PREFIX
includedir=$include
libdir=$LIBDIR

Name: lathe
Description: pre-trained transformers in C: embed, rank and search text
Version: $VERSION
Requires.private: $DEPS
Cflags: -I\${includedir}
Libs: -L\${libdir} -llathe
Libs.private: -lm -pthread
END
cat >"$made/lathe-config.cmake" <<END
# lathe::lathe is the shared library, lathe::static the archive with all that it needs.
get_filename_component(_lathe_lib "\${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
get_filename_component(_lathe_include "\${_lathe_lib}/$(realpath -m --relative-to="$LIBDIR" "$include")" ABSOLUTE)
if(NOT TARGET lathe::lathe)
  add_library(lathe::lathe SHARED IMPORTED)
  set_target_properties(lathe::lathe PROPERTIES
    IMPORTED_LOCATION "\${_lathe_lib}/liblathe.so.$VERSION"
    IMPORTED_SONAME "liblathe.so.${VERSION%%.*}"
    INTERFACE_INCLUDE_DIRECTORIES "\${_lathe_include}")
endif()
if(NOT TARGET lathe::static)
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(_lathe_needs QUIET $DEPS)
  endif()
  if(_lathe_needs_FOUND)
    add_library(lathe::static STATIC IMPORTED)
    set_target_properties(lathe::static PROPERTIES
      IMPORTED_LOCATION "\${_lathe_lib}/liblathe.a"
      INTERFACE_INCLUDE_DIRECTORIES "\${_lathe_include}"
      INTERFACE_LINK_LIBRARIES "\${_lathe_needs_LINK_LIBRARIES};m;-pthread")
  endif() # else the archive's own needs cannot be found: only lathe::lathe exists
endif()
END
cat >"$made/lathe-config-version.cmake" <<END
set(PACKAGE_VERSION "$VERSION")
if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE FALSE)
else()
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
END

for header in include/lathe/*.h; do put 644 "$header" "$include/lathe/${header##*/}"; done
put 644 "$BUILD/liblathe.a" "$LIBDIR/liblathe.a"
put 755 "$BUILD/liblathe.so.$VERSION" "$LIBDIR/liblathe.so.$VERSION"
link "liblathe.so.$VERSION" "$LIBDIR/liblathe.so.${VERSION%%.*}"
link "liblathe.so.${VERSION%%.*}" "$LIBDIR/liblathe.so"
[ "$verb" = install ] && [ ! -f "$BUILD/liblathe-mpi.so" ] || put 755 "$BUILD/liblathe-mpi.so" "$LIBDIR/liblathe-mpi.so" # what --dist mpi loads
put 644 "$made/lathe.pc" "$LIBDIR/pkgconfig/lathe.pc"
put 644 "$made/lathe-config.cmake" "$LIBDIR/cmake/lathe/lathe-config.cmake"
put 644 "$made/lathe-config-version.cmake" "$LIBDIR/cmake/lathe/lathe-config-version.cmake"
put 755 "$BUILD/lathe" "$PREFIX/bin/lathe"
for recipe in recipes/*.sh; do put 644 "$recipe" "$share/lathe/$recipe"; done

"$BUILD/lathe" completion bash >"$made/bash" && put 644 "$made/bash" "$share/bash-completion/completions/lathe"
"$BUILD/lathe" completion zsh >"$made/zsh" && put 644 "$made/zsh" "$share/zsh/site-functions/_lathe"
"$BUILD/lathe" completion fish >"$made/fish" && put 644 "$made/fish" "$share/fish/vendor_completions.d/lathe.fish"
"$BUILD/lathe" man >"$made/lathe.1" && put 644 "$made/lathe.1" "$share/man/man1/lathe.1"
for page in $("$BUILD/lathe" list verb | cut -f 2); do
    "$BUILD/lathe" man "$page" >"$made/page" && put 644 "$made/page" "$share/man/man1/lathe-$page.1"
done

if [ "$verb" = uninstall ]; then
    rmdir "$DESTDIR$include/lathe" "$DESTDIR$share/lathe/recipes" "$DESTDIR$share/lathe" "$DESTDIR$LIBDIR/cmake/lathe" 2>/dev/null || true
elif [ -z "$DESTDIR" ] && [ "$(id -u)" = 0 ] && command -v ldconfig >/dev/null; then
    ldconfig 2>/dev/null || true # so that programs find the shared library at once
fi
