// The former name of the device code.
global using KernelCode = BioSup.Kernels.DeviceKernels;
