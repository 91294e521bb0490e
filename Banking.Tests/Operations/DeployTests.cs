using FluentAssertions;
using k8s;
using k8s.Models;

namespace Banking.Tests;

/// <summary>What deploy/ has for Kubernetes and for systemd is valid, and its objects find each other.</summary>
public sealed class DeployTests
{
    // Strict: a member that its type does not have is refused.
    private readonly List<object> objects = KubernetesYaml.LoadAllFromString(Repository.Read("deploy/kubernetes.yaml"), typeMap: null, strict: true);

    [Fact]
    public void Every_object_of_kubernetes_has_only_members_that_its_type_has()
    {
        objects.Select(one => one.GetType().Name).Should().Equal(
            "V1Deployment", "V1Service", "V1PodDisruptionBudget", "V1Ingress", "V1NetworkPolicy", "V1CronJob", "V1CronJob");
        // The client's types take any version and kind, so a wrong pair is found where the type is chosen by it.
        objects.Cast<IKubernetesObject>().Select(one => $"{one.ApiVersion} {one.Kind}").Should().Equal(
            "apps/v1 Deployment", "v1 Service", "policy/v1 PodDisruptionBudget", "networking.k8s.io/v1 Ingress", "networking.k8s.io/v1 NetworkPolicy",
            "batch/v1 CronJob", "batch/v1 CronJob");
    }

    [Fact]
    public void The_objects_select_the_pods_of_the_service_and_no_others()
    {
        var deployment = One<V1Deployment>();
        var pods = deployment.Spec.Template.Metadata.Labels;
        var jobs = objects.OfType<V1CronJob>().Select(job => job.Spec.JobTemplate.Spec.Template.Metadata.Labels).ToList();

        IDictionary<string, string>[] selectors =
        [
            deployment.Spec.Selector.MatchLabels, One<V1Service>().Spec.Selector, One<V1PodDisruptionBudget>().Spec.Selector.MatchLabels,
            One<V1NetworkPolicy>().Spec.PodSelector.MatchLabels, deployment.Spec.Template.Spec.TopologySpreadConstraints.Single().LabelSelector.MatchLabels,
        ];
        foreach (var selector in selectors)
        {
            selector.Should().BeSubsetOf(pods);
            jobs.Should().NotContain(job => selector.All(job.Contains));
        }

        One<V1NetworkPolicy>().Spec.Ingress.Single().FromProperty.Where(peer => peer.PodSelector is not null)
            .Should().ContainSingle().Which.PodSelector.MatchLabels.Should().BeEquivalentTo(jobs[1], "the job that keeps the head");
    }

    [Fact]
    public void From_outside_only_the_api_has_a_route_and_only_named_namespaces_reach_the_port()
    {
        var path = One<V1Ingress>().Spec.Rules.Single().Http.Paths.Should().ContainSingle().Subject;
        var service = One<V1Service>();
        var port = One<V1Deployment>().Spec.Template.Spec.Containers.Single().Ports.Single();

        (path.Path, path.PathType).Should().Be(("/api", "Prefix"));
        (path.Backend.Service.Name, path.Backend.Service.Port.Name).Should().Be((service.Metadata.Name, service.Spec.Ports.Single().Name));
        service.Spec.Ports.Single().TargetPort.Value.Should().Be(port.Name);
        One<V1NetworkPolicy>().Spec.Ingress.Single().Ports.Single().Port.Value.Should().Be(port.Name);
        One<V1NetworkPolicy>().Spec.Ingress.Single().FromProperty.Where(peer => peer.NamespaceSelector is not null)
            .Should().HaveCount(2).And.OnlyContain(peer => peer.NamespaceSelector.MatchLabels.Keys.Single() == "kubernetes.io/metadata.name");
        One<V1Deployment>().Spec.Template.Metadata.Annotations["prometheus.io/port"].Should().Be($"{port.ContainerPort}");
    }

    [Fact]
    public void Every_container_runs_without_privileges_and_with_a_limit()
    {
        List<V1PodSpec> pods = [One<V1Deployment>().Spec.Template.Spec, .. objects.OfType<V1CronJob>().Select(job => job.Spec.JobTemplate.Spec.Template.Spec)];

        pods.Should().OnlyContain(pod => pod.SecurityContext.RunAsNonRoot == true && pod.AutomountServiceAccountToken == false);
        pods.SelectMany(pod => pod.Containers.Concat(pod.InitContainers ?? [])).Should().OnlyContain(container =>
            container.SecurityContext.AllowPrivilegeEscalation == false && container.SecurityContext.ReadOnlyRootFilesystem == true
            && container.SecurityContext.Capabilities.Drop.Single() == "ALL" && container.Resources.Limits.ContainsKey("memory"));
    }

    [Fact]
    public async Task The_unit_of_systemd_is_valid_and_gives_the_service_time_to_stop()
    {
        var systemd = Run.Find("systemd-analyze");
        Assert.SkipWhen(systemd is null, "The unit is checked with systemd-analyze, and this machine has none.");
        var folder = Directory.CreateTempSubdirectory();
        var unit = Path.Combine(folder.FullName, "core-banking.service");
        // The check looks for the program too. Its place differs on this machine.
        await File.WriteAllTextAsync(unit, Repository.Read("deploy/core-banking.service").Replace("/usr/bin/dotnet", Environment.ProcessPath!));

        var valid = await Run.ToEndAsync(new(systemd, ["verify", unit]));
        var exposed = await Run.ToEndAsync(new(systemd, ["security", "--offline=true", "--threshold=20", unit]));

        folder.Delete(recursive: true);
        (valid.ExitCode, valid.Output + valid.Errors).Should().Be((0, ""), "it names what it ignores, and exits with 0");
        exposed.ExitCode.Should().Be(0, "an exposure of at most 2 of 10: {0}", exposed.Output);
    }

    private T One<T>() => objects.OfType<T>().Single();
}
