/// `ixcap`: the command line.

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <exception>

#include <ixcap/driver/error.hpp>
#include <ixcap/filter/expression.hpp>

#include "tools/command.hpp"

namespace {

constexpr const char* examples = R"(
Examples:
  ixcap capture -i emulator:mix?count=100000 -w out.pcapng udp port 53
  ixcap capture -i emulator:trace.pcap -w - tcp | tshark -r -
  ixcap capture -i emulator:mix --share lab & ixcap read lab -w - tcp | tshark -r -
  ixcap control lab filter add 'udp port 53'
  ixcap emulate --socket /run/nic.sock --traffic mix?rate=1G
  ixcap filter -d 'host 10.0.0.1 and tcp port 80'
  ixcap filter -r trace.pcap -e 'tcp port 443' -e 'udp port 53'
  ixcap stats -i emulator:mix?rate=1G tcp 'udp port 53'
  ixcap send -i vfio-user:/run/nic.sock --rate 1G trace.pcap
)";

/// A first word that is no subcommand, said so; CLI11 would only say that one is missing.
bool is_mistyped_subcommand(const CLI::App& application, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return false;
  for (const CLI::App* command : application.get_subcommands({})) {
    if (command->get_name() == argv[1]) return false;
  }
  return true;
}

/// What is wrong with the words given, and how to see the right ones: one line.
int refuse(const CLI::App& application, const CLI::ParseError& error) {
  const auto given = application.get_subcommands();
  const std::string command = given.empty() ? "ixcap" : "ixcap " + given.front()->get_name();
  fmt::print(stderr, "ixcap: {}; see '{} --help'\n", error.what(), command);
  return 1;
}

/// Data that is still in the stdio buffer: whether it arrives is known only when it is written.
void flush_data() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  throw ixcap::Error::from_errno("cannot write", "standard output", errno, "make room where it goes, and try again");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App application("Captures packets from Intel 82599 cards, and from a software 82599 where there is no card.",
                       "ixcap");
  application.set_version_flag("--version", "ixcap " IXCAP_VERSION);
  application.require_subcommand(1);
  application.footer(examples);
  int status = 0;
  ixcap::tools::add_bind_command(application, status);
  ixcap::tools::add_capture_command(application, status);
  ixcap::tools::add_control_command(application, status);
  ixcap::tools::add_devices_command(application, status);
  ixcap::tools::add_doctor_command(application, status);
  ixcap::tools::add_emulate_command(application, status);
  ixcap::tools::add_filter_command(application, status);
  ixcap::tools::add_read_command(application, status);
  ixcap::tools::add_send_command(application, status);
  ixcap::tools::add_stats_command(application, status);
  ixcap::tools::add_unbind_command(application, status);
  if (is_mistyped_subcommand(application, argc, argv)) {
    fmt::print(stderr, "ixcap: there is no subcommand '{}'; see 'ixcap --help'\n", argv[1]);
    return 1;
  }
  try {
    application.parse(argc, argv);
    flush_data();
  } catch (const CLI::Success& help) {
    return application.exit(help);
  } catch (const CLI::ParseError& error) {
    return refuse(application, error);
  } catch (const ixcap::filter::ExpressionError& error) {
    fmt::print(stderr, "ixcap: {}\n{}\n", error.what(), error.picture());
    return 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "ixcap: {}\n", error.what());
    return 1;
  }
  return status;
}
